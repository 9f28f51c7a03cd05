"""Which passwords are easily guessed, and why.

Taken out of a password is what attackers try first; what remains must still be hard to guess.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

ENOUGH = 8
"""So many characters must be left."""
LEAST = 15
"""So many characters a password has; what is but a repetition is as long as what it repeats."""

_LEAST_DISTINCT = 5
_SHORTEST_RUN = 4
_SHORTEST_WORD = 3

# What people put for letters, whatever they mean by it.
_LOOKALIKES = str.maketrans("0134578@$!|", "oleastbasil")

# Long enough together to pass the rule of length, and still among the first that are tried.
_COMMON = (
    *("password", "passwort", "passwd", "contrasena", "motdepasse", "letmein", "welcome", "changeme"),
    *("default", "admin", "administrator", "secret", "login", "master", "computer", "internet"),
    *("iloveyou", "sunshine", "princess", "monkey", "dragon", "shadow", "trustno", "qwerty", "azerty"),
    *("football", "baseball", "basketball", "superman", "batman", "pokemon", "starwars", "samsung"),
    *("google", "facebook", "charlie", "michael", "jordan", "school", "student", "teacher"),
)
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    *("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
    *("azertyuiop", "qsdfghjklm", "wxcvbn", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    *("1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "!@#$%^&*()_+", '!"§$%&/()=?'),
)
# How a run may go on, by its first character.
_RUNS: dict[str, list[str]] = {}
for _row in (row for forward in _ROWS for row in (forward, forward[::-1])):
    for _at, _first in enumerate(_row):
        _RUNS.setdefault(_first, []).append(_row[_at:])
_REPEATED = re.compile(r"(.+?)\1+", re.DOTALL)
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_SIGNS = re.compile(r"^[\W_]+|[\W_]+$")
_DECORATION = re.compile(r"^[\W\d_]+|[\W\d_]+$")


class Weakness(NamedTuple):
    """Why a password is easily guessed."""

    rule: str
    """COMMON, REPETITION, SEQUENCE or PERSONAL, as the contract spells it."""
    why: str
    """Ends the sentence `This password is easily guessed:`."""


COMMON = Weakness("COMMON", "it is little more than what attackers try first")
_PERSONAL = Weakness("PERSONAL", "it is little more than your own name or address")
_REPETITION = Weakness("REPETITION", "it says the same again and again")
_SEQUENCE = Weakness("SEQUENCE", "it follows the alphabet, the numbers or the keyboard")


def weakness(password: str, *known: str) -> Weakness | None:
    """Why a password is easily guessed, by who may know what is `known` of its owner; None where it is not."""
    rest = _plain(password)
    words = {*_words(known)}
    cuts: tuple[tuple[Weakness, Callable[[str], str]], ...] = (
        (_PERSONAL, lambda text: _without(text, words)),
        (COMMON, lambda text: _without(text, _COMMON)),
        (_REPETITION, lambda text: _REPEATED.sub(r"\1", text)),
        (_SEQUENCE, _without_runs),
    )
    for why, cut in cuts:
        rest = cut(rest)
        if len(rest) < ENOUGH:
            return why
    repeated = _REPEATED.fullmatch(_alphanumeric(_plain(password)))
    if len({*rest}) < _LEAST_DISTINCT or (repeated and len(repeated[1]) < LEAST):
        return _REPETITION
    return None


def compared(password: str) -> str:
    """A password as it is looked up in a list: whatever its case, punctuation and look-alikes."""
    return _alphanumeric(_plain(password).translate(_LOOKALIKES))


def spellings(password: str) -> set[str]:
    """What a password is looked up as: it, and what is left without the signs and numbers around it."""
    return {compared(text) for text in (password, _SIGNS.sub("", password), _DECORATION.sub("", password))}


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _alphanumeric(text: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", text)


def _words(known: Iterable[str]) -> Iterator[str]:
    """What is known of somebody, whole and by its words, these with and without their digits."""
    for text in map(_plain, known):
        for word in (text, *re.findall(r"[^\W_]+", text), *re.findall(r"[^\W\d_]+", text)):
            if len(word) >= _SHORTEST_WORD:
                yield word


def _without(text: str, words: Iterable[str]) -> str:
    """A text without these words, also where look-alikes spell them."""
    taken: set[int] = set()
    letters = text.translate(_LOOKALIKES)
    for word in words:
        for found in (
            *re.finditer(re.escape(word), text),
            *re.finditer(re.escape(word.translate(_LOOKALIKES)), letters),
        ):
            taken.update(range(*found.span()))
    return "".join(character for at, character in enumerate(text) if at not in taken)


def _without_runs(text: str) -> str:
    """A text without its runs along the alphabet, the numbers or the keyboard."""
    rest, at = "", 0
    while at < len(text):
        run = max((_alike(text[at:], run) for run in _RUNS.get(text[at], ())), default=1)
        if run < _SHORTEST_RUN:
            rest += text[at]
            run = 1
        at += run
    return rest


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))
