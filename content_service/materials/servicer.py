"""MaterialService."""

from collections.abc import AsyncIterator

from google.protobuf.json_format import ParseDict

from chassis import etags, idempotency, jobs
from chassis.bell import Bell
from chassis.calls import Context, caller
from chassis.database import Database, Executor, Transaction
from chassis.errors import FieldInvalid
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from content_service.authoring import revision_store as revisions
from content_service.authoring import servicer as contents
from content_service.authoring import store as contents_store
from content_service.authoring.revision_store import LockedRow, NewContent
from content_service.authoring.rules import MATERIAL, TAKES_MATERIAL
from content_service.errors import (
    ChunkNotFound,
    ContentNotFound,
    FileTypeUnsupported,
    MaterialNotFound,
    ProcessingNotFailed,
)
from content_service.materials import rules, store
from content_service.materials.files import Files, StoredFile
from content_service.materials.ingestion.pipeline import ring_of
from content_service.materials.ingestion.queue import Process
from content_service.materials.rules import FAILED
from content_service.materials.store import ChunkRow, MaterialRow
from meno.content.v1.content_service_pb2 import Body, Content
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    Chunk,
    DetachMaterialRequest,
    FailureReason,
    GetChunkRequest,
    GetMaterialRequest,
    Material,
    ProcessingStage,
    ProcessingStatus,
    RetryProcessingRequest,
    UploadMaterialRequest,
    WatchMaterialRequest,
    WatchMaterialResponse,
)
from meno.content.v1.material_service_pb2_grpc import MaterialServiceServicer

STATUSES = Spelling(ProcessingStatus)
STAGES = Spelling(ProcessingStage)
REASONS = Spelling(FailureReason)


class MaterialServicer(MaterialServiceServicer):
    """Files, their processing and their passages."""

    def __init__(self, database: Database, bell: Bell, files: Files, process: Process) -> None:
        self._database = database
        self._bell = bell
        self._files = files
        self._process = process

    async def UploadMaterial(
        self, messages: AsyncIterator[UploadMaterialRequest], context: Context
    ) -> Material:
        first = await anext(messages)
        file = _described(first)
        class_id = first.class_id

        async def is_kept(key: str) -> bool:
            return await store.has_file(self._database, class_id, key)

        async with self._files.incoming(class_id, _pieces(first, messages), is_kept) as stored:
            idempotency.add_to_body(stored.sha256)
            return await self._add(class_id, rules.title(first.title, file.file_name), file, stored)

    async def _add(self, class_id: str, title: str, file: Body.MaterialFile, stored: StoredFile) -> Material:
        file.size_bytes, file.sha256 = stored.size, stored.sha256.hex()
        async with write(self._database) as transaction:
            new = NewContent(
                scope_id=class_id,
                parent_id=None,
                kind=MATERIAL,
                title=title,
                body=contents.body_row(Body(material=file)),
                created_by_user_id=caller().user_id,
            )
            material_id = await revisions.create(transaction, new)
            await store.add(transaction, class_id, material_id, stored.key, file.content_type)
            await jobs.defer(transaction, self._process, scope_id=class_id, material_id=material_id)
            return transaction.answer(await _get(transaction, class_id, material_id))

    async def GetMaterial(self, request: GetMaterialRequest, context: Context) -> Material:
        return await _get(self._database, request.class_id, request.material_id)

    async def WatchMaterial(
        self, request: WatchMaterialRequest, context: Context
    ) -> AsyncIterator[WatchMaterialResponse]:
        last: Material | None = None
        with self._bell.listen(ring_of(request.material_id)) as rung:
            while True:
                row = await _row(self._database, request.class_id, request.material_id)
                material = message(row)
                if row.status in rules.OUTCOMES:
                    yield WatchMaterialResponse(done=material)
                    return
                if material != last:
                    yield WatchMaterialResponse(material=material)
                last = material
                await rung.wait()

    async def RetryProcessing(self, request: RetryProcessingRequest, context: Context) -> Material:
        class_id, material_id = request.class_id, request.material_id
        async with write(self._database) as transaction:
            await _row(transaction, class_id, material_id)
            status = await store.lock_status(transaction, class_id, material_id)
            if status != FAILED:
                raise ProcessingNotFailed(str(status))
            await store.restart(transaction, class_id, material_id)
            await jobs.defer(transaction, self._process, scope_id=class_id, material_id=material_id)
            answer = transaction.answer(await _get(transaction, class_id, material_id))
        self._bell.ring(ring_of(material_id))
        return answer

    async def AttachMaterial(self, request: AttachMaterialRequest, context: Context) -> Content:
        class_id, content_id = request.class_id, request.content_id
        async with write(self._database) as transaction:
            locked = await _lock_holder(transaction, class_id, content_id)
            await _row(transaction, class_id, request.material_id)
            row = await contents_store.as_teacher(transaction, class_id, content_id)
            if row is not None and request.material_id.lower() not in row.material_ids:
                await contents.need_draft(transaction, class_id, content_id, locked)
                await revisions.attach(transaction, class_id, content_id, request.material_id)
            return transaction.answer(await contents.changed(transaction, class_id, content_id))

    async def DetachMaterial(self, request: DetachMaterialRequest, context: Context) -> Content:
        class_id, content_id = request.class_id, request.content_id
        async with write(self._database) as transaction:
            locked = await _lock_holder(transaction, class_id, content_id)
            row = await contents_store.as_teacher(transaction, class_id, content_id)
            if row is not None and request.material_id.lower() in row.material_ids:
                await contents.need_draft(transaction, class_id, content_id, locked)
                await revisions.detach(transaction, class_id, content_id, request.material_id)
            return transaction.answer(await contents.changed(transaction, class_id, content_id))

    async def GetChunk(self, request: GetChunkRequest, context: Context) -> Chunk:
        row = await store.chunk(
            self._database,
            request.class_id,
            request.material_id,
            request.revision_id,
            request.chunk_id,
            unpublished_too=caller().role_in(request.class_id) == "TEACHER",
        )
        if row is None:
            raise ChunkNotFound(request.chunk_id)
        return chunk_message(row)


async def _lock_holder(transaction: Transaction, class_id: str, content_id: str) -> LockedRow:
    """Keeps others off a content that takes materials. Raises ContentNotFound."""
    locked = await contents.lock(transaction, class_id, content_id)
    if locked.kind not in TAKES_MATERIAL:
        raise ContentNotFound(content_id)
    return locked


async def _row(executor: Executor, class_id: str, material_id: str) -> MaterialRow:
    row = await store.get(executor, class_id, material_id)
    if row is None:
        raise MaterialNotFound(material_id)
    return row


async def _get(executor: Executor, class_id: str, material_id: str) -> Material:
    return message(await _row(executor, class_id, material_id))


def message(row: MaterialRow) -> Material:
    """A material as it travels."""
    return Material(
        class_id=row.scope_id,
        material_id=row.material_id,
        revision_id=row.revision_id,
        title=row.title,
        file=ParseDict(row.body, Body()).material,
        status=STATUSES.number(row.status),
        stage=STAGES.number(row.stage),
        progress_percent=row.progress,
        failure_reason=REASONS.number(row.failure_reason)
        if row.failure_reason
        else FailureReason.FAILURE_REASON_UNSPECIFIED,
        failure_message=row.failure_message,
        chunk_count=row.chunk_count,
        page_count=row.page_count,
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
        etag=etags.etag(row.version),
    )


def chunk_message(row: ChunkRow) -> Chunk:
    """A passage as it travels."""
    values = row._asdict()
    return Chunk(class_id=values.pop("scope_id"), **values)


def _described(first: UploadMaterialRequest) -> Body.MaterialFile:
    """What the first message says of the file. Raises FieldInvalid or FileTypeUnsupported."""
    name = rules.bare_name(first.file_name)
    if not name:
        raise FieldInvalid.of("file_name", "say how the file is called", "required")
    file_format = rules.file_format(first.file.content_type, name)
    if file_format is None:
        raise FileTypeUnsupported(first.file.content_type[: rules.MAX_SHOWN])
    return Body.MaterialFile(file_name=name, content_type=file_format)


async def _pieces(
    first: UploadMaterialRequest, rest: AsyncIterator[UploadMaterialRequest]
) -> AsyncIterator[bytes]:
    yield _piece(first)
    async for message in rest:
        yield _piece(message)


def _piece(message: UploadMaterialRequest) -> bytes:
    data: bytes = message.file.data
    if len(data) > rules.MAX_PIECE_BYTES:
        raise FieldInvalid.of(
            "file.data", f"at most {rules.MAX_PIECE_BYTES} bytes in one message", "bytes.max_len"
        )
    return data
