"""The client of content_service: the two RPCs that chat_service calls, each with the caller's token."""

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import grpc

from meno.content.v1.content_service_pb2 import GetContentRequest
from meno.content.v1.content_service_pb2_grpc import ContentServiceStub
from meno.content.v1.knowledge_service_pb2 import SearchRequest, SearchResponse
from meno.content.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub
from meno.content.v1.resources_pb2 import Content as LessonContent

Metadata: TypeAlias = Sequence[tuple[str, str]]


class GetContent(Protocol):
    """ContentService.GetContent. Raises AioRpcError if the caller may not see the content."""

    def __call__(
        self, request: GetContentRequest, *, timeout: float | None = None, metadata: Metadata | None = None
    ) -> Awaitable[LessonContent]: ...


class Search(Protocol):
    """KnowledgeService.Search. Raises AioRpcError if the caller may not search the class."""

    def __call__(
        self, request: SearchRequest, *, timeout: float | None = None, metadata: Metadata | None = None
    ) -> Awaitable[SearchResponse]: ...


class Content(NamedTuple):
    """The RPCs of content_service that chat_service calls."""

    get_content: GetContent
    search: Search


def connect(channel: grpc.aio.Channel) -> Content:
    """Returns the client of content_service on a channel."""
    return Content(ContentServiceStub(channel).GetContent, KnowledgeServiceStub(channel).Search)
