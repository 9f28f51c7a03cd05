"""The tutor without a model."""

import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.models.extractive import (
    MOST,
    NO_MATERIAL,
    ExtractiveTutor,
    choose,
    compose,
    sentences,
    stem,
)
from chassis.models.tutors import UNANSWERED, Passage

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


def spoken(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def test_sentences_end_where_a_reader_ends_them() -> None:
    assert spoken(WATER.text) == [
        "Water boils at a hundred degrees Celsius at sea level.",
        "Dr. Fahrenheit measured 212 of his own degrees.",
        "Salt raises the boiling point of water!",
        "Sea water freezes below zero degrees.",
        "Ice is lighter than water, so it swims.",
    ]
    assert spoken('He said "Go!" Then he went (home.) All\nwas well.') == [
        'He said "Go!"',
        "Then he went (home.)",
        "All\nwas well.",
    ]


@given(texts)
def test_sentences_are_stretches_of_the_text_in_their_order(text: str) -> None:
    found = [*sentences(text)]
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in found)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(found))


def test_inflected_words_are_one_word() -> None:
    for family in (
        ["boil", "boils", "boiling", "boiled"],
        ["freeze", "freezes", "freezing"],
        ["study", "studies"],
        ["class", "classes"],
        ["stop", "stopped", "stopping"],
        ["variable", "variables", "variable's"],
    ):
        assert len({stem(word) for word in family}) == 1, family


def test_the_sentences_that_bear_on_the_question_are_quoted_with_their_passage() -> None:
    answer = compose("At what temperature does water boil at sea level?", [ROCKS, WATER])
    assert "Water boils at a hundred degrees Celsius at sea level." in answer
    assert "[2]" in answer
    assert "[1]" not in answer


def test_a_question_that_nothing_bears_on_is_answered_honestly() -> None:
    assert compose("Who won the battle of Hastings?", [WATER, ROCKS]) == UNANSWERED
    assert compose("Who won the battle of Hastings?", []) == NO_MATERIAL


def test_an_exercise_does_not_come_before_what_answers_it() -> None:
    text = "Explain why salt raises the boiling point of water. Salt binds water, and so its boiling point rises."
    [first, *_] = choose("Why does salt raise the boiling point of water?", [Passage("Salt", 1, "", text)])
    assert first.text == "Salt binds water, and so its boiling point rises."


def test_nothing_is_said_twice() -> None:
    answer = compose("Does sea water freeze below zero degrees?", [WATER, WATER._replace(title="Copy")])
    assert answer.count("Sea water freezes below zero degrees.") == 1


def test_an_index_is_not_taken_for_the_number_of_a_passage() -> None:
    answer = compose("What gives the first element of the list?", [LISTS])
    assert answer == "The expression names[ 0 ] gives the first element of the list names. [1]"


@settings(deadline=None)
@given(texts, passages)
def test_whatever_is_asked_what_is_quoted_stands_in_the_passages(
    question: str, given_: list[Passage]
) -> None:
    chosen = choose(question, given_)
    assert len(chosen) <= MOST
    for sentence in chosen:
        quoted = given_[sentence.passage].text[sentence.start : sentence.end]
        assert " ".join(quoted.split()) == sentence.text
    answer = compose(question, given_)
    assert answer == compose(question, [*given_])
    numbers = {int(number) for number in re.findall(r"\[(\d+)\]", answer)}
    assert numbers == {sentence.passage + 1 for sentence in chosen}


async def test_the_answer_comes_in_groups_of_words() -> None:
    question = "At what temperature does water boil at sea level?"
    pieces = [piece async for piece in ExtractiveTutor().answer(question, [], [WATER])]
    assert "".join(pieces) == compose(question, [WATER])
    assert len(pieces) > 1
