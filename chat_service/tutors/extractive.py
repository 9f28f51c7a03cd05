"""A tutor without a language model: it quotes the most relevant sentences of the passages.

The score of a sentence sums the idf weights (over the sentences of all passages) of the question words
that it contains. Question words elsewhere in its passage count less, and lower-ranked passages are
discounted. The first sentence below a heading may lack the words of the heading. The same question and
passages always give the same answer.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import NamedTuple

from chat_service.tutors.sentences import find_sentences, stem, stems, words
from chat_service.tutors.types import NOT_IN_MATERIAL, ChatTurn, Passage

NO_MATERIAL = (
    "Without a language model I can only quote the material of a class, and this conversation has none."
)

MAX_QUESTION_CHARACTERS = 1_000
"""The part of a question that is used, as in the search of content_service."""
MAX_SENTENCES = 3
"""Maximum number of sentences in an answer."""

# The weights and thresholds were set by hand on the questions of the demo.
_MIN_RELEVANCE = 0.2
"""Minimum score of the best sentence, as a share of the total weight of the question."""
_RELATIVE_CUTOFF = 0.6
"""Minimum score of the other sentences, as a share of the best score."""
_MAX_SIMILARITY = 0.8
"""A sentence with a higher Jaccard similarity to a chosen one is a repetition."""
_CONTEXT_WEIGHT = 0.35
"""Weight of a question word that occurs only elsewhere in the passage."""
_EXERCISE_FACTOR = 0.5
"""Factor for questions, exercises and announcements."""
_RANK_DISCOUNT = 0.08
"""Discount for each rank of the passage."""
_MAX_SENTENCE_CHARACTERS = 600
_MIN_SENTENCE_WORDS = 4
_MIN_LABELLED_WORDS = 2
"""A shorter sentence is quoted if it names its subject, as `Peru: Lima` does, or is the first below a heading."""
_LABELLED = re.compile(r"[:=|→–—]")
_WORDS_PER_PIECE = 6

# Questions, exercises, and announcements of later content.
_EXERCISE = re.compile(
    r"[?？؟]$|^(?:compare|define|describe|discuss|explain|identify|name|state|write)\b"
    r"|\b(?:this|the|next) (?:chapter|lesson|section|unit)\b",
    re.I,
)
_SENTENCE_END = tuple(".!?।॥։።។။؟۔。！？｡\"'”’)]")
_CITATION_NUMBER = re.compile(r"\[(\d+)\]")
_STOP_WORDS = """
a about all also am an and any are as at be been being but by can could did do does doing for from get give
had has have how i if in into is it its just kind many me mean meant means much my name of on one or our
s should so some tell than that the their them then there these they this those through to type us use used
was we were what when where which who whom whose why will with would you your explain describe please
"""
_STOP_STEMS = stems(_STOP_WORDS)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+(.+)$", re.M)


class Sentence(NamedTuple):
    """A sentence of a passage and the stems of its words."""

    passage: int
    """Index of the passage."""
    start: int
    end: int
    text: str
    stems: frozenset[str]
    heading: frozenset[str]
    """The stems of the heading above the sentence, if the sentence is the first below it."""


class ExtractiveTutor:
    """Quotes up to three sentences verbatim, each with the number of its passage."""

    async def answer(
        self, question: str, history: Sequence[ChatTurn], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        """Yields the quotations in groups of words, or a sentence that states that there are none."""
        for piece in _pieces(compose(question, passages)):
            yield piece


def compose(question: str, passages: Sequence[Passage]) -> str:
    """Returns the complete answer to a question."""
    if not passages:
        return NO_MATERIAL
    chosen = choose(question, passages)
    if not chosen:
        return NOT_IN_MATERIAL
    return "\n\n".join(_quotation(passages, group) for group in _group_by_passage(chosen))


def choose(question: str, passages: Sequence[Passage]) -> list[Sentence]:
    """Returns the most relevant sentences, best first. Returns none if no sentence is relevant enough."""
    question = question[:MAX_QUESTION_CHARACTERS]
    sentences = [*_sentences(passages)]
    question_stems = stems(question) - _STOP_STEMS or stems(question)
    weights = _weights(question_stems, sentences)
    context = [stems(f"{passage.title} {passage.section}") for passage in passages]
    for sentence in sentences:
        context[sentence.passage] |= sentence.stems | sentence.heading
    scored = [
        (_score(sentence, weights, context[sentence.passage]), sentence)
        for sentence in sentences
        if question_stems & (sentence.stems | sentence.heading)
        # A shorter sentence that only repeats the question answers nothing.
        and (len(sentence.stems) >= _MIN_SENTENCE_WORDS or sentence.stems - question_stems)
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[1].passage, pair[1].start))
    if not scored or scored[0][0] < _MIN_RELEVANCE * sum(weights.values()):
        return []
    cutoff = _RELATIVE_CUTOFF * scored[0][0]
    return _distinct(sentence for score, sentence in scored if score >= cutoff)


def _sentences(passages: Sequence[Passage]) -> Iterator[Sentence]:
    for index, passage in enumerate(passages):
        heading, last_end = passage.section, 0
        for start, end in find_sentences(passage.text):
            text = " ".join(passage.text[start:end].split())
            heading = _last_heading(passage.text[last_end:start]) or heading
            found = words(text)
            is_labelled = bool(heading) or _LABELLED.search(text) is not None
            min_words = _MIN_LABELLED_WORDS if is_labelled else _MIN_SENTENCE_WORDS
            if len(text) <= _MAX_SENTENCE_CHARACTERS and len(found) >= min_words:
                yield Sentence(index, start, end, text, frozenset(map(stem, found)), stems(heading))
            heading, last_end = "", end


def _last_heading(text: str) -> str:
    """Returns the last heading in the text between two sentences, or an empty string."""
    headings: list[str] = _HEADING.findall(text)
    return headings[-1] if headings else ""


def _weights(question_stems: frozenset[str], sentences: Sequence[Sentence]) -> dict[str, float]:
    """Returns the inverse document frequency (idf) of each question word among the sentences."""
    frequency = Counter(stem for sentence in sentences for stem in question_stems & sentence.stems)
    return {stem: math.log(1 + (len(sentences) + 1) / (frequency[stem] + 0.5)) for stem in question_stems}


def _score(sentence: Sentence, weights: dict[str, float], context: frozenset[str]) -> float:
    in_sentence = sum(weight for stem, weight in weights.items() if stem in sentence.stems)
    in_context = sum(weight for stem, weight in weights.items() if stem in context - sentence.stems)
    factor = _EXERCISE_FACTOR if _EXERCISE.search(sentence.text) else 1.0
    return (in_sentence + _CONTEXT_WEIGHT * in_context) * factor / (1 + _RANK_DISCOUNT * sentence.passage)


def _distinct(best_first: Iterable[Sentence]) -> list[Sentence]:
    """Returns the first MAX_SENTENCES sentences without repetitions."""
    kept: list[Sentence] = []
    for sentence in best_first:
        if not any(_similarity(sentence.stems, other.stems) > _MAX_SIMILARITY for other in kept):
            kept.append(sentence)
        if len(kept) == MAX_SENTENCES:
            break
    return kept


def _similarity(first: frozenset[str], second: frozenset[str]) -> float:
    """Returns the Jaccard similarity of two sets."""
    return len(first & second) / len(first | second)


def _group_by_passage(chosen: Sequence[Sentence]) -> list[list[Sentence]]:
    """Groups the sentences by passage, in text order; the passage of the best sentence is first."""
    groups: dict[int, list[Sentence]] = {}
    for sentence in chosen:
        groups.setdefault(sentence.passage, []).append(sentence)
    return [sorted(group, key=lambda sentence: sentence.start) for group in groups.values()]


def _quotation(passages: Sequence[Passage], group: Sequence[Sentence]) -> str:
    """Returns the sentences of one passage with its number. Rows and list items are paragraphs of their own.

    Spaces separate the brackets of numbers in the sentences, so that they are not read as citations.
    """
    quoted = group[0].text
    for previous, sentence in itertools.pairwise(group):
        quoted += (" " if previous.text.endswith(_SENTENCE_END) else "\n\n") + sentence.text
    return _CITATION_NUMBER.sub(r"[ \1 ]", quoted) + f" [{group[0].passage + 1}]"


def _pieces(text: str) -> Iterator[str]:
    spaced = re.findall(r"\S+\s*", text)
    for start in range(0, len(spaced), _WORDS_PER_PIECE):
        yield "".join(spaced[start : start + _WORDS_PER_PIECE])
