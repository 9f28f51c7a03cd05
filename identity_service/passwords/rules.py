"""Which passwords are easily guessed."""

from itertools import pairwise

# Long enough to pass the rule of length, and still among the first that are tried.
_COMMON_PARTS = (
    "password",
    "passwort",
    "qwerty",
    "letmein",
    "welcome",
    "iloveyou",
    "abc",
    "admin",
    "0123456789",
)


def is_common(password: str, *known: str) -> bool:
    """Whether a password is little more than what attackers try first, or what is known of its owner.

    What remains after such parts and repetitions are taken out must still be hard to guess.
    """
    rest = password.casefold()
    for part in (*_COMMON_PARTS, *(word.casefold() for word in known if word)):
        rest = rest.replace(part, "")
    distinct = len(set(rest))
    steps = {ord(after) - ord(before) for before, after in pairwise(rest)}
    return len(rest) < len(password) / 2 or distinct < 5 or steps <= {0, 1} or steps <= {0, -1}
