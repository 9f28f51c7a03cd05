"""A tutor without a model: it quotes the sentences that bear most on the question.

A sentence counts by the words that it shares with the question, rare ones more (idf over
the sentences of all passages), by how much of the rest its passage speaks of, and by the
rank of the passage. The same question and passages always give the same answer.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from chassis.models.tutors import UNANSWERED, Passage, Utterance

NO_MATERIAL = (
    "Without a language model I can only quote the material of a class, and this conversation has none."
)

MOST = 3
"""Sentences of an answer, at most."""

_BEARS = 0.2
"""The least share of the question, by weight, that a sentence or its passage must speak of."""
_NEAR_BEST = 0.6
_SAME = 0.8
_CONTEXT = 0.35
_NO_ANSWER = 0.5
_RANK = 0.08
_LONGEST = 600
_FEWEST_WORDS = 4
_WORDS_A_PIECE = 6

# What the group holds belongs to the sentence that ends there.
_BOUNDARY = re.compile(
    r"([.!?][\"'’”)\]]*)\s+(?=[\"'“‘(\[`]?[^\W_a-z])"
    r"|([。！？])"
    r"|\n\s*\n"
    r"|\n(?=\s*(?:[-*+•#>|]|\d+[.)])\s)"
)
_ABBREVIATION = re.compile(
    r"(?<![\w.])(?:[A-Za-z]|e\.g|i\.e|cf|vs|ca|approx|no|fig|eq|dr|mrs?|ms|prof|st|jr|sr)\.$", re.I
)
_LONGEST_ABBREVIATION = 9
_LEAD = re.compile(r"\s*(?:[-*+•>]\s+|\d+[.)]\s+)?")
_NO_PROSE = re.compile(r"#|\||`{3}")
# Questions, exercises, and announcements of what is still to come.
_ASKS = re.compile(
    r"\?$|^(?:compare|define|describe|discuss|explain|identify|name|state|write)\b"
    r"|\b(?:this|the|next) (?:chapter|lesson|section|unit)\b",
    re.I,
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_MARKER = re.compile(r"\[(\d+)\]")
_STOP_WORDS = """
a about all also am an and any are as at be been being but by can could did do does doing for from get give
had has have how i if in into is it its just kind many me mean meant means much my name of on one or our
should so some tell than that the their them then there these they this those through to type us use used
was we were what when where which who whom whose why will with would you your explain describe please
"""


class Sentence(NamedTuple):
    """A sentence of a passage, and the stems of its words."""

    passage: int
    """Index of the passage."""
    start: int
    end: int
    text: str
    stems: frozenset[str]


class ExtractiveTutor:
    """Quotes up to three sentences, word for word, each with the number of its passage."""

    async def answer(
        self, question: str, history: Sequence[Utterance], passages: Sequence[Passage]
    ) -> AsyncGenerator[str, None]:
        """Yields the quotations in groups of words, or says that there is nothing to quote."""
        for piece in _pieces(compose(question, passages)):
            yield piece


def compose(question: str, passages: Sequence[Passage]) -> str:
    """The whole answer to a question."""
    if not passages:
        return NO_MATERIAL
    chosen = choose(question, passages)
    if not chosen:
        return UNANSWERED
    return "\n\n".join(_quotation(passages, group) for group in _by_passage(chosen))


def choose(question: str, passages: Sequence[Passage]) -> list[Sentence]:
    """The sentences that bear most on a question, best first; none where none does."""
    found = [*_all_sentences(passages)]
    asked = stems(question) - _STOP_STEMS or stems(question)
    weights = _weights(asked, found)
    total = sum(weights.values())
    around = [stems(f"{passage.title} {passage.section}") for passage in passages]
    for sentence in found:
        around[sentence.passage] |= sentence.stems
    scored = [
        (_score(sentence, weights, around[sentence.passage]), sentence)
        for sentence in found
        if asked & sentence.stems
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[1].passage, pair[1].start))
    if not scored or scored[0][0] < _BEARS * total:
        return []
    least = _NEAR_BEST * scored[0][0]
    return _distinct(sentence for score, sentence in scored if score >= least)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where the sentences of a text begin and end; headings, tables and code are none."""
    start = 0
    for stop, following in _boundaries(text):
        if _ABBREVIATION.search(text, max(start, stop - _LONGEST_ABBREVIATION), stop):
            continue
        lead = _LEAD.match(text, start, stop)
        begin = lead.end() if lead else start
        end = begin + len(text[begin:stop].rstrip())
        if begin < end and not _NO_PROSE.match(text, begin):
            yield begin, end
        start = following


def _boundaries(text: str) -> Iterator[tuple[int, int]]:
    for found in _BOUNDARY.finditer(text):
        yield found.end(found.lastindex) if found.lastindex else found.start(), found.end()
    yield len(text), len(text)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A word without the endings of its English inflection; other words mostly stay what they are."""
    word = word.removesuffix("'s").removesuffix("’s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) > 2 and re.search("[aeiouy]", root):
            word = root[:-1] if root[-1] == root[-2] and root[-1] not in "lsz" else root
            break
    return word.removesuffix("e") if len(word) > 3 else word


def stems(text: str) -> frozenset[str]:
    """The stems of a text's words."""
    return frozenset(map(stem, words(text)))


def words(text: str) -> list[str]:
    """A text's words, in the form in which they are compared."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _WORD.findall(plain.casefold())


_STOP_STEMS = stems(_STOP_WORDS)


def _all_sentences(passages: Sequence[Passage]) -> Iterator[Sentence]:
    for index, passage in enumerate(passages):
        for start, end in sentences(passage.text):
            text = " ".join(passage.text[start:end].split())
            said = words(text)
            if len(text) <= _LONGEST and len(said) >= _FEWEST_WORDS:
                yield Sentence(index, start, end, text, frozenset(map(stem, said)))


def _weights(asked: frozenset[str], found: Sequence[Sentence]) -> dict[str, float]:
    """How much each word of the question says: its inverse frequency among the sentences."""
    frequency = Counter(stem for sentence in found for stem in asked & sentence.stems)
    return {stem: math.log(1 + (len(found) + 1) / (frequency[stem] + 0.5)) for stem in asked}


def _score(sentence: Sentence, weights: dict[str, float], around: frozenset[str]) -> float:
    """How much of the question the sentence speaks of, and the passage around it."""
    shared = sum(weight for stem, weight in weights.items() if stem in sentence.stems)
    context = sum(weight for stem, weight in weights.items() if stem in around - sentence.stems)
    answers = _NO_ANSWER if _ASKS.search(sentence.text) else 1.0
    return (shared + _CONTEXT * context) * answers / (1 + _RANK * sentence.passage)


def _distinct(best_first: Iterable[Sentence]) -> list[Sentence]:
    """The first few that do not say the same thing twice."""
    kept: list[Sentence] = []
    for sentence in best_first:
        if not any(_alike(sentence.stems, other.stems) > _SAME for other in kept):
            kept.append(sentence)
        if len(kept) == MOST:
            break
    return kept


def _alike(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def _by_passage(chosen: Sequence[Sentence]) -> list[list[Sentence]]:
    """The sentences of each passage in their order; the passage of the best one first."""
    groups: dict[int, list[Sentence]] = {}
    for sentence in chosen:
        groups.setdefault(sentence.passage, []).append(sentence)
    return [sorted(group, key=lambda sentence: sentence.start) for group in groups.values()]


def _quotation(passages: Sequence[Passage], group: Sequence[Sentence]) -> str:
    """The sentences of one passage and its number. What looks like a number in them is set apart."""
    quoted = " ".join(sentence.text for sentence in group)
    return _MARKER.sub(r"[ \1 ]", quoted) + f" [{group[0].passage + 1}]"


def _pieces(text: str) -> Iterator[str]:
    spaced = re.findall(r"\S+\s*", text)
    for start in range(0, len(spaced), _WORDS_A_PIECE):
        yield "".join(spaced[start : start + _WORDS_A_PIECE])
