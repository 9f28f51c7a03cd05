"""Keyset pages. A page token is the key of the last row, bound to the request that it was made for."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeAlias, TypeVar, cast
from uuid import UUID

from google.protobuf.message import Message

from chassis.errors import PageTokenInvalid

DEFAULT_SIZE = 50
MAX_SIZE = 1000
MAX_PAGE_BYTES = 2 * 1024 * 1024
"""A page ends before its rows exceed this size, because a gRPC message may have 4 MiB."""

MIN_UUID = UUID(int=0)
MAX_UUID = UUID(int=2**128 - 1)
MIN_TIMESTAMP = datetime(1, 1, 1, tzinfo=UTC)
MAX_TIMESTAMP = datetime(9999, 12, 31, tzinfo=UTC)

Key: TypeAlias = UUID | int | datetime
Row = TypeVar("Row")
Start = TypeVar("Start", bound=tuple[Key, ...])

_MAX_BIGINT = 2**63 - 1


class PagedRequest(Protocol):
    """The request message of a list."""

    page_size: int
    page_token: str


def size(request: PagedRequest) -> int:
    """Returns the number of rows of a page: 50 by default, at most 1,000."""
    return min(request.page_size or DEFAULT_SIZE, MAX_SIZE)


def decode_page_token(request: PagedRequest, start: Start) -> Start:
    """Returns the key after which the page begins: that of the page token, or `start` without one.

    Raises PageTokenInvalid if the token is damaged or belongs to another request.
    """
    if not request.page_token:
        return start
    try:
        binding, *texts = json.loads(base64.urlsafe_b64decode(request.page_token.encode()))
        if binding != _binding(request):
            raise PageTokenInvalid()
        keys = tuple(_PARSE[type(key)](text) for key, text in zip(start, texts, strict=True))
        return cast("Start", keys)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise PageTokenInvalid() from error


def count_within_bytes(sizes: Iterable[int]) -> int:
    """Returns how many rows of these sizes, in bytes, fit into MAX_PAGE_BYTES: at least one."""
    remaining, count = MAX_PAGE_BYTES, 0
    for row_size in sizes:
        remaining -= row_size
        if remaining < 0:
            break
        count += 1
    return max(count, 1)


def page(
    request: PagedRequest, rows: list[Row], key: Callable[[Row], Sequence[object]], max_rows: int = MAX_SIZE
) -> tuple[list[Row], str]:
    """Splits `size(request) + 1` rows into a page and the token of the next page (empty at the end).

    `key` returns the key of a row in the order of `start` of `decode_page_token`. `max_rows` is the number
    of rows that fit into one message.
    """
    limit = min(size(request), max_rows)
    if len(rows) <= limit:
        return rows, ""
    return rows[:limit], token(request, key(rows[limit - 1]))


def token(request: PagedRequest, key: Sequence[object]) -> str:
    """Returns the page token of the page after a key."""
    values = json.dumps([_binding(request), *map(_text, key)])
    return base64.urlsafe_b64encode(values.encode()).decode()


def _bigint(text: str) -> int:
    if abs(number := int(text)) > _MAX_BIGINT:
        raise ValueError("exceeds a PostgreSQL bigint")
    return number


_PARSE: dict[type[Key], Callable[[str], Key]] = {UUID: UUID, int: _bigint, datetime: datetime.fromisoformat}


def _text(key: object) -> str:
    return key.isoformat() if isinstance(key, datetime) else str(key)


def _binding(request: PagedRequest) -> str:
    """Returns a digest of the request's type and of every field except those of paging."""
    assert isinstance(request, Message)
    query = type(request)()
    query.CopyFrom(request)
    query.ClearField("page_token")
    query.ClearField("page_size")
    body = query.SerializeToString(deterministic=True)
    return hashlib.sha256(request.DESCRIPTOR.full_name.encode() + b"\0" + body).hexdigest()[:16]
