"""The errors of content_service."""

from chassis.errors import DomainError
from meno.content.v1.errors_pb2 import ErrorReason


class ContentError(DomainError, contract=ErrorReason):
    """Base class of the errors of this context."""


class ContentNotFound(ContentError):
    def __init__(self, content_id: str) -> None:
        super().__init__("The content does not exist.", content_id=content_id)


class ParentInvalid(ContentError):
    def __init__(self, parent_id: str, kind: str) -> None:
        super().__init__(
            f"A {kind.lower()} cannot be placed under this parent.", parent_id=parent_id, kind=kind
        )


class BodyKindMismatch(ContentError):
    def __init__(self, kind: str) -> None:
        super().__init__(f"The content is a {kind.lower()}; set the body of a {kind.lower()}.", kind=kind)


class DraftNotFound(ContentError):
    def __init__(self, content_id: str) -> None:
        super().__init__("The content has no draft. Update it to create one.", content_id=content_id)


class NotPublished(ContentError):
    def __init__(self, content_id: str) -> None:
        super().__init__("The content is not published.", content_id=content_id)


class MaterialNotFound(ContentError):
    def __init__(self, material_id: str) -> None:
        super().__init__("The material does not exist.", material_id=material_id)


class FileTooLarge(ContentError):
    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The file is too large. The limit is {limit_bytes} bytes.", limit_bytes=limit_bytes)


class FileEmpty(ContentError):
    def __init__(self) -> None:
        super().__init__("The uploaded file is empty.")


class FileTypeUnsupported(ContentError):
    def __init__(self, content_type: str) -> None:
        super().__init__(
            "Upload Markdown, PDF, plain text or HTML. Set the content type or use the usual file extension.",
            content_type=content_type,
        )


class ProcessingNotFailed(ContentError):
    def __init__(self, status: str) -> None:
        super().__init__("Processing can only be retried after it has failed.", status=status)


class ChunkNotFound(ContentError):
    def __init__(self, chunk_id: str) -> None:
        super().__init__("The chunk does not exist.", chunk_id=chunk_id)
