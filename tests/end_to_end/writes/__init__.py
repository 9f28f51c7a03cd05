"""One prepared call of every write, in one module per subject."""

from tests.end_to_end.writes import administration, chats, classes, contents, people, sessions
from tests.end_to_end.writes.case import Case

CASES: dict[str, Case] = {
    **administration.CASES,
    **chats.CASES,
    **classes.CASES,
    **contents.CASES,
    **people.CASES,
    **sessions.CASES,
}
