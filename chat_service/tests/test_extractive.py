"""The extractive tutor and its sentence splitting."""

import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

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


async def test_the_answer_is_yielded_in_groups_of_words() -> None:
    question = "At what temperature does water boil at sea level?"
    pieces = [piece async for piece in ExtractiveTutor().answer(question, [], [WATER])]
    assert "".join(pieces) == compose(question, [WATER])
    assert len(pieces) > 1
