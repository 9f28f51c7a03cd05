"""Keyset paging: every row occurs once, and a page token is valid only for its request."""

import base64
import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import paging
from chassis.errors import PageTokenInvalid
from meno.session.v1.event_service_pb2 import ListEventsRequest
from meno.session.v1.session_service_pb2 import ListSessionsRequest

USER = "018f0000-0000-7000-8000-00000000000a"


@given(st.sets(st.integers(1, 10_000)), st.integers(0, 7))
def test_the_pages_contain_every_row_once(rows: set[int], size: int) -> None:
    request = ListEventsRequest(user_id=USER, page_size=size)
    seen: list[int] = []
    while True:
        [after] = paging.decode_page_token(request, (0,))
        remaining = sorted(row for row in rows if row > after)[: paging.size(request) + 1]
        page, request.page_token = paging.page(request, remaining, lambda row: (row,))
        assert len(page) <= (size or paging.DEFAULT_SIZE)
        seen += page
        if not request.page_token:
            break
    assert seen == sorted(rows)


def test_a_page_has_at_most_a_thousand_rows() -> None:
    assert paging.size(ListEventsRequest(page_size=5000)) == 1000


def test_a_page_is_limited_in_bytes_and_has_at_least_one_row() -> None:
    half = paging.MAX_PAGE_BYTES // 2
    assert [paging.count_within_bytes(sizes) for sizes in ([], [3 * half], [half, half, 1], [1, 1])] == [
        1,
        1,
        2,
        2,
    ]
    rows = [1, 2, 3]
    request = ListEventsRequest(user_id=USER)
    kept, request.page_token = paging.page(
        request, rows, lambda row: (row,), paging.count_within_bytes([half, half, 1])
    )
    assert (kept, paging.decode_page_token(request, (0,))) == ([1, 2], (2,))


def _token() -> str:
    return paging.page(ListEventsRequest(user_id=USER, page_size=1), [1, 2], lambda row: (row,))[1]


def _with(*values: object) -> str:
    bound = json.loads(base64.urlsafe_b64decode(_token()))[0]
    return base64.urlsafe_b64encode(json.dumps([bound, *values]).encode()).decode()


@pytest.mark.parametrize(
    "token",
    ["", "?", "e30=", "W10=", _with(), _with("x"), _with("1", "2"), _with(None), _with([]), _with(2**63)],
)
def test_a_damaged_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        paging.decode_page_token(ListEventsRequest(user_id=USER, page_token=token or "\0"), (0,))


@pytest.mark.parametrize("key", [1, None, [USER], {"id": USER}])
def test_a_key_of_another_json_type_is_refused(key: object) -> None:
    with pytest.raises(PageTokenInvalid):
        paging.decode_page_token(ListEventsRequest(user_id=USER, page_token=_with(key)), (paging.MIN_UUID,))


def test_a_token_is_refused_for_another_request() -> None:
    token = _token()
    assert paging.decode_page_token(ListEventsRequest(user_id=USER, page_token=token, page_size=9), (0,)) == (
        1,
    )
    for other in (
        ListEventsRequest(user_id=USER, session_id=USER, page_token=token),
        ListSessionsRequest(user_id=USER, page_token=token),
    ):
        with pytest.raises(PageTokenInvalid):
            paging.decode_page_token(other, (0,))


def test_uuids_and_numbers_are_restored_from_a_token() -> None:
    request = ListEventsRequest(user_id=USER, page_size=1)
    start = (paging.MIN_UUID, 0)
    _, request.page_token = paging.page(request, [(USER, 7), (USER, 8)], lambda row: row)
    assert paging.decode_page_token(request, start) == (UUID(USER), 7)
