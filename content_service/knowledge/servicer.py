"""KnowledgeService."""

from chassis.calls import Context
from chassis.database import Database
from chassis.models.embeddings import Embedder
from content_service.knowledge import rules, store
from content_service.materials.servicer import chunk_message
from meno.content.v1.knowledge_service_pb2 import SearchRequest, SearchResponse
from meno.content.v1.knowledge_service_pb2_grpc import KnowledgeServiceServicer


class KnowledgeServicer(KnowledgeServiceServicer):
    """What a class knows."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder

    async def Search(self, request: SearchRequest, context: Context) -> SearchResponse:
        query = rules.query_of(request.query)
        if not query:
            return SearchResponse()
        rows = await store.search(
            self._database,
            request.class_id,
            query,
            await self._embedder.embed_query(query),
            self._embedder.name,
            content_id=request.content_id or None,
            limit=request.limit,
        )
        return SearchResponse(chunks=map(chunk_message, rows))
