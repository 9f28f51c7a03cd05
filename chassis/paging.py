"""Keyset pages: a page token is the position after the last row, bound to the list it was made for."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypeVar, cast
from uuid import UUID

from google.protobuf.message import Message

from chassis.errors import PageTokenInvalid

DEFAULT_SIZE = 50
MAX_SIZE = 1000
LARGEST_PAGE = 2 * 1024 * 1024
"""Bytes of a page, above which it ends early; a message of gRPC holds 4 MiB."""

BEFORE_ALL_IDS = UUID(int=0)
AFTER_ALL_IDS = UUID(int=2**128 - 1)

Key: TypeAlias = UUID | int | datetime
Row = TypeVar("Row")
Start = TypeVar("Start", bound=tuple[Key, ...])

_LARGEST_BIGINT = 2**63 - 1


def size(request: Any) -> int:
    """How many rows a page of this request holds: 50 unless it says so, never above 1,000."""
    return min(request.page_size or DEFAULT_SIZE, MAX_SIZE)


def position(request: Any, start: Start) -> Start:
    """Where the page begins: `start` on the first page, else what its token says.

    Raises PageTokenInvalid when the token is damaged or belongs to another list.
    """
    if not request.page_token:
        return start
    try:
        bound, *texts = json.loads(base64.urlsafe_b64decode(request.page_token.encode()))
        if bound != _binding(request):
            raise PageTokenInvalid()
        keys = tuple(_PARSE[type(key)](text) for key, text in zip(start, texts, strict=True))
        return cast("Start", keys)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise PageTokenInvalid() from error


def fitting(sizes: Iterable[int]) -> int:
    """How many rows of these sizes, in bytes, one answer has room for: at least one."""
    room, count = LARGEST_PAGE, 0
    for size in sizes:
        room -= size
        if room < 0:
            break
        count += 1
    return max(count, 1)


def page(
    request: Any, rows: list[Row], after: Callable[[Row], Sequence[object]], fits: int = MAX_SIZE
) -> tuple[list[Row], str]:
    """Splits `size(request) + 1` rows into a page and the token of the next, empty at the end.

    `after` gives the position of a row, in the order in which `position` was given its start; `fits`
    is how many of the rows one answer has room for.
    """
    limit = min(size(request), fits)
    if len(rows) <= limit:
        return rows, ""
    return rows[:limit], token(request, after(rows[limit - 1]))


def token(request: Message, position: Sequence[object]) -> str:
    """The page token that goes on after a position."""
    values = json.dumps([_binding(request), *map(_text, position)])
    return base64.urlsafe_b64encode(values.encode()).decode()


def _bigint(text: str) -> int:
    if abs(number := int(text)) > _LARGEST_BIGINT:
        raise ValueError("no row has this number")
    return number


_PARSE: dict[type[Key], Callable[[str], Key]] = {UUID: UUID, int: _bigint, datetime: datetime.fromisoformat}


def _text(key: object) -> str:
    return key.isoformat() if isinstance(key, datetime) else str(key)


def _binding(request: Message) -> str:
    """A digest of the list that a request asks for: its type and every field but the page."""
    asked = type(request)()
    asked.CopyFrom(request)
    asked.ClearField("page_token")
    asked.ClearField("page_size")
    body = asked.SerializeToString(deterministic=True)
    return hashlib.sha256(request.DESCRIPTOR.full_name.encode() + b"\0" + body).hexdigest()[:16]
