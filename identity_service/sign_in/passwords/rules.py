"""Rules that detect passwords which are easy to guess.

The rules remove the parts that attackers try first. The remaining characters must still be hard to guess.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from chassis.errors import FieldInvalid
from identity_service.sign_in.passwords.types import Weakness

MIN_UNPREDICTABLE_CHARACTERS = 8
"""Minimum number of characters that remain after the removal of predictable parts."""
MIN_LENGTH = 15
"""Minimum length of a password. A repeated text counts once."""
MAX_LENGTH = 200

_MIN_DISTINCT_CHARACTERS = 5
_MIN_RUN_LENGTH = 4
_MIN_WORD_LENGTH = 3

# Common letter substitutions ("leet speak").
_SUBSTITUTIONS = str.maketrans("0134578@$!|", "oleastbasil")

# Combinations of these words satisfy the minimum length, and attackers still try them first.
_COMMON_WORDS = (
    *("password", "passwort", "passwd", "contrasena", "motdepasse", "letmein", "welcome", "changeme"),
    *("default", "admin", "administrator", "secret", "login", "master", "computer", "internet"),
    *("iloveyou", "sunshine", "princess", "monkey", "dragon", "shadow", "trustno", "qwerty", "azerty"),
    *("football", "baseball", "basketball", "superman", "batman", "pokemon", "starwars", "samsung"),
    *("google", "facebook", "charlie", "michael", "jordan", "school", "student", "teacher"),
)
_SEQUENCES = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    *("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
    *("azertyuiop", "qsdfghjklm", "wxcvbn", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    *("1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "!@#$%^&*()_+", '!"§$%&/()=?'),
)
# The possible continuations of a run, by its first character.
_RUNS: dict[str, list[str]] = {}
for _sequence in (sequence for forward in _SEQUENCES for sequence in (forward, forward[::-1])):
    for _index, _first in enumerate(_sequence):
        _RUNS.setdefault(_first, []).append(_sequence[_index:])
_REPEATED = re.compile(r"(.+?)\1+", re.DOTALL)
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_OUTER_SYMBOLS = re.compile(r"^[\W_]+|[\W_]+$")
_OUTER_SYMBOLS_AND_DIGITS = re.compile(r"^[\W\d_]+|[\W\d_]+$")

COMMON = Weakness("COMMON", "it is close to a common password")
_PERSONAL = Weakness("PERSONAL", "it consists mostly of your own name or address")
_REPETITION = Weakness("REPETITION", "it consists mostly of repetitions")
_SEQUENCE = Weakness("SEQUENCE", "it follows the alphabet, the digits or a keyboard row")


def canonicalize(password: str) -> str:
    """Returns the form in which passwords are counted, hashed and compared (NIST SP 800-63B, 5.1.1.2).

    Devices send the same characters in different forms: `ü` as one code point or as two.
    """
    return unicodedata.normalize("NFKC", password)


def join_change(old_password: str, new_password: str) -> str:
    """Returns the text whose hash identifies a repetition of a change."""
    return "\0".join(map(canonicalize, (old_password, new_password)))


def check_length(field: str, password: str) -> None:
    """Raises FieldInvalid if the canonical form of a new password is too short or too long.

    The contract limits only the text as it was sent.
    """
    length = len(canonicalize(password))
    if length < MIN_LENGTH:
        raise FieldInvalid.of(
            field, f"must have at least {MIN_LENGTH} characters in the Unicode form NFKC", "password.length"
        )
    if length > MAX_LENGTH:
        raise FieldInvalid.of(
            field, f"must have at most {MAX_LENGTH} characters in the Unicode form NFKC", "password.length"
        )


def find_weakness(password: str, *known: str) -> Weakness | None:
    """Returns why a password is easy to guess, or None.

    `known` contains data about the user that an attacker may know, such as names and addresses.
    """
    rest = _fold(password)
    words = {*_words(known)}
    filters: tuple[tuple[Weakness, Callable[[str], str]], ...] = (
        (_PERSONAL, lambda text: _remove_words(text, words)),
        (COMMON, lambda text: _remove_words(text, _COMMON_WORDS)),
        (_REPETITION, lambda text: _REPEATED.sub(r"\1", text)),
        (_SEQUENCE, _remove_runs),
    )
    for weakness, remove in filters:
        rest = remove(rest)
        if len(rest) < MIN_UNPREDICTABLE_CHARACTERS:
            return weakness
    repeated = _REPEATED.fullmatch(_alphanumeric(_fold(password)))
    if len({*rest}) < _MIN_DISTINCT_CHARACTERS or (repeated and len(repeated[1]) < MIN_LENGTH):
        return _REPETITION
    return None


def normalize(password: str) -> str:
    """Returns the form in which lists contain a password: without case, punctuation and substitutions."""
    return _alphanumeric(_fold(password).translate(_SUBSTITUTIONS))


def variants(password: str) -> set[str]:
    """Returns the normalized forms of a password, with and without its outer symbols and digits."""
    texts = (password, _OUTER_SYMBOLS.sub("", password), _OUTER_SYMBOLS_AND_DIGITS.sub("", password))
    return {normalize(text) for text in texts}


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _alphanumeric(text: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", text)


def _words(known: Iterable[str]) -> Iterator[str]:
    """Yields each text, its words, and its words without digits."""
    for text in map(_fold, known):
        for word in (text, *re.findall(r"[^\W_]+", text), *re.findall(r"[^\W\d_]+", text)):
            if len(word) >= _MIN_WORD_LENGTH:
                yield word


def _remove_words(text: str, words: Iterable[str]) -> str:
    """Returns the text without these words, which may be written with substitutions."""
    removed: set[int] = set()
    letters = text.translate(_SUBSTITUTIONS)
    for word in words:
        for match in (
            *re.finditer(re.escape(word), text),
            *re.finditer(re.escape(word.translate(_SUBSTITUTIONS)), letters),
        ):
            removed.update(range(*match.span()))
    return "".join(character for index, character in enumerate(text) if index not in removed)


def _remove_runs(text: str) -> str:
    """Returns the text without its runs along the alphabet, the digits or a keyboard row."""
    rest, index = "", 0
    while index < len(text):
        runs = _RUNS.get(text[index], ())
        length = max((_common_prefix_length(text[index:], run) for run in runs), default=1)
        if length < _MIN_RUN_LENGTH:
            rest += text[index]
            length = 1
        index += length
    return rest


def _common_prefix_length(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (left, right) in pairs if left != right), min(len(one), len(other)))
