"""Reads lists page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar


class Page(Protocol):
    """The reply of a list RPC."""

    next_page_token: str


AnyPage = TypeVar("AnyPage", bound=Page)


async def read_pages(
    rpc: Callable[..., Awaitable[AnyPage]], request: Any, **options: Any
) -> AsyncIterator[AnyPage]:
    """Yields every page of a list. `options` are the arguments of each call, such as its metadata."""
    while True:
        page = await rpc(request, **options)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
