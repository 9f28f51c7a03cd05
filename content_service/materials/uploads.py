"""Upload streams: the first message describes the file, every message contains a piece of it."""

from collections.abc import AsyncIterator

from chassis.errors import FieldInvalid
from chassis.names import check_visible
from content_service.errors import FileTypeUnsupported
from content_service.materials import rules
from content_service.materials.types import NewMaterial
from meno.content.v1.material_service_pb2 import UploadMaterialRequest


def new_material(first: UploadMaterialRequest, user_id: str) -> NewMaterial:
    """Returns the material that an upload creates. Raises FieldInvalid or FileTypeUnsupported."""
    file_name = rules.clean_file_name(first.file_name)
    if not file_name:
        raise FieldInvalid.of("file_name", "must not be blank", "required")
    content_type = rules.file_format(first.file.content_type, file_name)
    if content_type is None:
        raise FileTypeUnsupported(first.file.content_type[: rules.MAX_QUOTED_CHARACTERS])
    title = rules.material_title(first.title, file_name)
    if not first.title:
        check_visible("file_name", title)
    charset = rules.charset(first.file.content_type)
    return NewMaterial(first.class_id, title, file_name, content_type, charset, user_id)


async def read_pieces(
    first: UploadMaterialRequest, rest: AsyncIterator[UploadMaterialRequest]
) -> AsyncIterator[bytes]:
    """Yields the pieces of the file. Raises FieldInvalid if a piece is too large."""
    yield _piece(first)
    async for message in rest:
        yield _piece(message)


def _piece(message: UploadMaterialRequest) -> bytes:
    data: bytes = message.file.data
    if len(data) > rules.MAX_PIECE_BYTES:
        limit = f"must be at most {rules.MAX_PIECE_BYTES} bytes in one message"
        raise FieldInvalid.of("file.data", limit, "bytes.max_len")
    return data
