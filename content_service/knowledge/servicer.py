"""KnowledgeService."""

from chassis.calls import Context
from chassis.database import Database
from content_service.knowledge import commands
from content_service.knowledge.embeddings import Embedder
from content_service.knowledge.messages import to_message
from meno.content.v1.knowledge_service_pb2 import SearchRequest, SearchResponse
from meno.content.v1.knowledge_service_pb2_grpc import KnowledgeServiceServicer


class KnowledgeServicer(KnowledgeServiceServicer):
    """Serves search in the material of a class."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder

    async def Search(self, request: SearchRequest, context: Context) -> SearchResponse:
        rows = await commands.search(
            self._database,
            self._embedder,
            request.class_id,
            request.query,
            content_id=request.content_id or None,
            top_k=request.top_k,
        )
        return SearchResponse(chunks=map(to_message, rows))
