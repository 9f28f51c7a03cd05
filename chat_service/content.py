"""What chat_service asks of content_service: two of its RPCs, each with its caller's token."""

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import grpc

from meno.content.v1.content_service_pb2 import Content as LessonContent
from meno.content.v1.content_service_pb2 import GetContentRequest
from meno.content.v1.content_service_pb2_grpc import ContentServiceStub
from meno.content.v1.knowledge_service_pb2 import SearchRequest, SearchResponse
from meno.content.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub

Metadata: TypeAlias = Sequence[tuple[str, str]]


class GetContent(Protocol):
    """ContentService.GetContent. Raises AioRpcError where the caller may not see the content."""

    def __call__(
        self, request: GetContentRequest, *, timeout: float | None = None, metadata: Metadata | None = None
    ) -> Awaitable[LessonContent]: ...


class Search(Protocol):
    """KnowledgeService.Search. Raises AioRpcError where the caller may not search the class."""

    def __call__(
        self, request: SearchRequest, *, timeout: float | None = None, metadata: Metadata | None = None
    ) -> Awaitable[SearchResponse]: ...


class Content(NamedTuple):
    """content_service, as far as it is needed here."""

    get_content: GetContent
    search: Search


def behind(channel: grpc.aio.Channel) -> Content:
    """The content_service behind a channel."""
    return Content(ContentServiceStub(channel).GetContent, KnowledgeServiceStub(channel).Search)
