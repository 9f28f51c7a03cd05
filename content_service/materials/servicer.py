"""MaterialService."""

from collections.abc import AsyncIterator

from chassis import idempotency
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from chassis.notifications import Notifier
from content_service.authoring.messages import to_message as content_to_message
from content_service.knowledge.messages import to_message as chunk_to_message
from content_service.materials import commands, store
from content_service.materials.files import FileStore
from content_service.materials.ingestion.queue import ProcessTask
from content_service.materials.messages import to_message
from content_service.materials.rules import FINAL_STATUSES, notification_key
from content_service.materials.uploads import new_material, read_pieces
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    DetachMaterialRequest,
    GetChunkRequest,
    GetMaterialRequest,
    RetryProcessingRequest,
    UploadMaterialRequest,
    WatchMaterialRequest,
    WatchMaterialResponse,
)
from meno.content.v1.material_service_pb2_grpc import MaterialServiceServicer
from meno.content.v1.resources_pb2 import Chunk, Content, Material


class MaterialServicer(MaterialServiceServicer):
    """Serves files, their processing and their chunks."""

    def __init__(
        self,
        database: Database,
        notifier: Notifier,
        files: FileStore,
        task: ProcessTask,
        *,
        max_bytes_per_day: int,
    ) -> None:
        """`max_bytes_per_day` limits the files that are uploaded to one class in 24 hours."""
        self._max_bytes_per_day = max_bytes_per_day
        self._database = database
        self._notifier = notifier
        self._files = files
        self._task = task

    async def UploadMaterial(
        self, messages: AsyncIterator[UploadMaterialRequest], context: Context
    ) -> Material:
        first = await anext(messages)
        material = new_material(first, caller().user_id)

        async def is_referenced(key: str) -> bool:
            return await store.is_file_referenced(self._database, material.scope_id, key)

        pieces = read_pieces(first, messages)
        async with self._files.upload(material.scope_id, pieces, is_referenced) as file:
            idempotency.add_to_body(file.sha256)
            async with write(self._database) as transaction:
                row = await commands.create_material(
                    transaction, self._task, material, file, self._max_bytes_per_day
                )
                return transaction.respond(to_message(row))

    async def GetMaterial(self, request: GetMaterialRequest, context: Context) -> Material:
        return to_message(await commands.get_material(self._database, request.class_id, request.material_id))

    async def WatchMaterial(
        self, request: WatchMaterialRequest, context: Context
    ) -> AsyncIterator[WatchMaterialResponse]:
        last: Material | None = None
        with self._notifier.subscribe(notification_key(request.material_id)) as subscription:
            while True:
                row = await commands.get_material(self._database, request.class_id, request.material_id)
                material = to_message(row)
                if row.status in FINAL_STATUSES:
                    yield WatchMaterialResponse(done=material)
                    return
                if material != last:
                    yield WatchMaterialResponse(material=material)
                last = material
                await subscription.wait()

    async def RetryProcessing(self, request: RetryProcessingRequest, context: Context) -> Material:
        async with write(self._database) as transaction:
            row = await commands.retry_processing(
                transaction, self._task, request.class_id, request.material_id, caller().user_id
            )
            return transaction.respond(to_message(row))

    async def AttachMaterial(self, request: AttachMaterialRequest, context: Context) -> Content:
        async with write(self._database) as transaction:
            row = await commands.attach(
                transaction, request.class_id, request.content_id, request.material_id, caller().user_id
            )
            return transaction.respond(content_to_message(row))

    async def DetachMaterial(self, request: DetachMaterialRequest, context: Context) -> Content:
        async with write(self._database) as transaction:
            row = await commands.detach(
                transaction, request.class_id, request.content_id, request.material_id, caller().user_id
            )
            return transaction.respond(content_to_message(row))

    async def GetChunk(self, request: GetChunkRequest, context: Context) -> Chunk:
        row = await commands.get_chunk(
            self._database,
            request.class_id,
            request.material_id,
            request.revision_id,
            request.chunk_id,
            include_unpublished=caller().role_in(request.class_id) == "TEACHER",
        )
        return chunk_to_message(row)
