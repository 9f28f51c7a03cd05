"""The extractive tutor and its sentence splitting."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_service.answers.rules import find_quote
from chat_service.tutors.extractive import MAX_SENTENCES, NO_MATERIAL, ExtractiveTutor, choose, compose
from chat_service.tutors.sentences import find_sentences, stem
from chat_service.tutors.types import NOT_IN_MATERIAL, Passage

WATER = Passage(
    "Water",
    1,
    "States › Liquid",
    "# Liquid water\n\nWater boils at a hundred degrees Celsius at sea level. Dr. Fahrenheit measured 212 of "
    "his own degrees. Salt raises the boiling point of water!\n\n- Sea water freezes below zero degrees.\n"
    "- Ice is lighter than water, so it swims.\n\n| a | table |\n",
)
ROCKS = Passage(
    "Rocks", 4, "Minerals", "Granite is an igneous rock. It consists of quartz, feldspar and mica."
)
LISTS = Passage("Python", 0, "Lists", "The expression names[0] gives the first element of the list names.")

texts = st.text(st.sampled_from("ab AB.?!\n-#|[]1230 é'\"”。"), max_size=200)
passages = st.lists(st.builds(Passage, st.just("T"), st.just(1), texts, texts), max_size=4)


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in find_sentences(text)]


def test_text_is_split_into_the_sentences_that_a_reader_sees() -> None:
    assert split(WATER.text) == [
        "Water boils at a hundred degrees Celsius at sea level.",
        "Dr. Fahrenheit measured 212 of his own degrees.",
        "Salt raises the boiling point of water!",
        "Sea water freezes below zero degrees.",
        "Ice is lighter than water, so it swims.",
        "a | table",
    ]
    assert split('He said "Go!" Then he went (home.) All\nwas well.') == [
        'He said "Go!"',
        "Then he went (home.)",
        "All\nwas well.",
    ]


@given(texts)
def test_sentences_are_disjoint_ranges_of_the_text_in_order(text: str) -> None:
    found = [*find_sentences(text)]
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in found)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(found))


def test_inflected_forms_have_the_same_stem() -> None:
    for family in (
        ["boil", "boils", "boiling", "boiled"],
        ["freeze", "freezes", "freezing"],
        ["study", "studies"],
        ["class", "classes"],
        ["stop", "stopped", "stopping"],
        ["variable", "variables", "variable's"],
    ):
        assert len({stem(word) for word in family}) == 1, family


def test_relevant_sentences_are_quoted_with_the_number_of_their_passage() -> None:
    answer = compose("At what temperature does water boil at sea level?", [ROCKS, WATER])
    assert "Water boils at a hundred degrees Celsius at sea level." in answer
    assert "[2]" in answer
    assert "[1]" not in answer


def test_a_question_without_a_relevant_sentence_is_not_answered() -> None:
    assert compose("Who won the battle of Hastings?", [WATER, ROCKS]) == NOT_IN_MATERIAL
    assert compose("Who won the battle of Hastings?", []) == NO_MATERIAL


def test_a_statement_ranks_before_an_exercise_with_the_same_words() -> None:
    text = "Explain why salt raises the boiling point of water. Salt binds water, and so its boiling point rises."
    [first, *_] = choose("Why does salt raise the boiling point of water?", [Passage("Salt", 1, "", text)])
    assert first.text == "Salt binds water, and so its boiling point rises."


def test_a_repeated_sentence_is_quoted_once() -> None:
    answer = compose("Does sea water freeze below zero degrees?", [WATER, WATER._replace(title="Copy")])
    assert answer.count("Sea water freezes below zero degrees.") == 1


def test_a_number_in_brackets_in_the_material_is_not_a_citation() -> None:
    answer = compose("What gives the first element of the list?", [LISTS])
    assert answer == "The expression names[ 0 ] gives the first element of the list names. [1]"


@settings(deadline=None)
@given(texts, passages)
def test_every_quoted_sentence_is_part_of_its_passage(question: str, given_: list[Passage]) -> None:
    chosen = choose(question, given_)
    assert len(chosen) <= MAX_SENTENCES
    for sentence in chosen:
        quoted = given_[sentence.passage].text[sentence.start : sentence.end]
        assert " ".join(quoted.split()) == sentence.text
    answer = compose(question, given_)
    assert answer == compose(question, [*given_])
    numbers = {int(number) for number in re.findall(r"\[(\d+)\]", answer)}
    assert numbers == {sentence.passage + 1 for sentence in chosen}


FACTS = Passage(
    "Facts",
    0,
    "",
    "# Boiling points\n\n| Substance | Boiling point |\n|---|---:|\n| Ethanol | 78 °C |\n| Mercury | 357 °C |\n"
    "| Water | 100 °C |\n\n## Capitals\n\n- France: Paris\n- Peru: Lima\n- Kenya: Nairobi\n\n"
    "## Law of Ohm\n\nV = I · R\n\n## Prokaryote\nA cell without nucleus.\n\n## Photosynthesis\n\n"
    "Photosynthesis turns light into sugar in the leaves of all green plants.",
)
PLANETS = Passage("Planets", 2, "", "Planet Moons Day\nMars 2 24.6 h\nJupiter 95 9.9 h\nSaturn 146 10.7 h")


@pytest.mark.parametrize(
    ("question", "quotation"),
    [
        ("What is the boiling point of ethanol?", "Ethanol | 78 °C"),
        ("What is the capital of Peru?", "Peru: Lima"),
        ("What is the law of Ohm?", "V = I · R"),
        ("What is a prokaryote?", "A cell without nucleus."),
    ],
)
def test_rows_list_items_and_short_lines_are_quoted(question: str, quotation: str) -> None:
    assert compose(question, [FACTS]) == f"{quotation} [1]"
    [start_end] = [pair for pair in find_sentences(FACTS.text) if FACTS.text[slice(*pair)] == quotation]
    assert find_quote(quotation, FACTS.text) == start_end


def test_a_row_of_a_table_in_a_pdf_is_quoted() -> None:
    assert "Jupiter 95" in compose("How many moons does Jupiter have?", [PLANETS])


def test_headings_table_headers_and_words_of_the_question_are_not_quoted() -> None:
    quotable = split(FACTS.text)
    assert not {"Boiling points", "Substance | Boiling point", "|---|---:|", "Law of Ohm"} & {*quotable}
    assert compose("Peru?", [Passage("Peru", 0, "Peru", "- Peru\n- Peru: peru\n")]) == NOT_IN_MATERIAL


def test_list_items_are_quoted_as_paragraphs() -> None:
    answer = compose("Which capitals have France and Peru?", [FACTS])
    assert answer == "France: Paris\n\nPeru: Lima [1]"


LANGUAGES = {
    "गंगा नदी कहाँ से निकलती है?": (
        "पौधे सूर्य के प्रकाश से अपना भोजन बनाते हैं। गंगा नदी हिमालय के गंगोत्री हिमनद से निकलती है और बंगाल की खाड़ी में "
        "गिरती है। जल का क्वथनांक समुद्र तल पर सौ डिग्री सेल्सियस होता है।",
        "गंगा नदी हिमालय के गंगोत्री हिमनद से निकलती है और बंगाल की खाड़ी में गिरती है।",
    ),
    "长江发源于哪里？": (
        "植物通过光合作用把光能转化为化学能。长江发源于青藏高原的唐古拉山脉。水的沸点在海平面上是一百摄氏度。",
        "长江发源于青藏高原的唐古拉山脉。",
    ),
    "水的沸点是多少？": (
        "植物通过光合作用把光能转化为化学能。长江发源于青藏高原的唐古拉山脉。水的沸点在海平面上是一百摄氏度。",
        "水的沸点在海平面上是一百摄氏度。",
    ),
    "من أين ينبع نهر النيل؟": (
        "يضخ القلب الدم إلى جميع أنحاء الجسم. ينبع نهر النيل من بحيرة فيكتوريا ويصب في البحر المتوسط. تدور الأرض.",
        "ينبع نهر النيل من بحيرة فيكتوريا ويصب في البحر المتوسط.",
    ),
    "دریائے سندھ کہاں سے نکلتا ہے؟": (
        "پودے سورج کی روشنی سے خوراک بناتے ہیں۔ دریائے سندھ تبت سے نکلتا ہے۔ پانی سو درجے پر ابلتا ہے۔",
        "دریائے سندھ تبت سے نکلتا ہے۔",
    ),
    "¿Dónde nace el río Amazonas?": (
        "El corazón bombea la sangre. El río Amazonas nace en los Andes del Perú. ¿Qué es la Tierra? El agua hierve.",
        "El río Amazonas nace en los Andes del Perú.",
    ),
    "Wo entspringt der Rhein?": (
        "Das Herz pumpt das Blut. Der Rhein entspringt in den Schweizer Alpen. „Wasser siedet bei hundert Grad.“",
        "Der Rhein entspringt in den Schweizer Alpen.",
    ),
    "காவிரி ஆறு எங்கு பிறக்கிறது?": (
        "இதயம் உடல் முழுவதும் இரத்தத்தைச் செலுத்துகிறது. காவிரி ஆறு குடகு மலையில் தலைக்காவிரியில் பிறக்கிறது.",
        "காவிரி ஆறு குடகு மலையில் தலைக்காவிரியில் பிறக்கிறது.",
    ),
}


@pytest.mark.parametrize("question", LANGUAGES)
def test_the_fitting_sentence_is_quoted_in_other_languages(question: str) -> None:
    text, sentence = LANGUAGES[question]
    assert compose(question, [Passage("Book", 0, "", text)]) == f"{sentence} [1]"
    start, end = find_quote(sentence, text)
    assert text[start:end] == sentence


async def test_the_answer_is_yielded_in_groups_of_words() -> None:
    question = "At what temperature does water boil at sea level?"
    pieces = [piece async for piece in ExtractiveTutor().answer(question, [], [WATER])]
    assert "".join(pieces) == compose(question, [WATER])
    assert len(pieces) > 1
