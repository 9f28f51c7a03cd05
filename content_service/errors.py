"""Why content_service refuses."""

from chassis.errors import DomainError
from meno.content.v1.errors_pb2 import ErrorReason


class Refusal(DomainError, contract=ErrorReason):
    """A refusal of this context."""


class ContentNotFound(Refusal):
    def __init__(self, content_id: str) -> None:
        super().__init__("There is no such content.", content_id=content_id)


class ParentInvalid(Refusal):
    def __init__(self, parent_id: str, kind: str) -> None:
        super().__init__(f"A {kind.lower()} cannot stand there.", parent_id=parent_id, kind=kind)


class BodyKindMismatch(Refusal):
    def __init__(self, kind: str) -> None:
        super().__init__(f"The content is a {kind.lower()}, and so must its body be.", kind=kind)


class NoDraft(Refusal):
    def __init__(self, content_id: str) -> None:
        super().__init__("The content has no draft. Change it first.", content_id=content_id)


class NotPublished(Refusal):
    def __init__(self, content_id: str) -> None:
        super().__init__("The content is not published.", content_id=content_id)


class MaterialNotFound(Refusal):
    def __init__(self, material_id: str) -> None:
        super().__init__("There is no such material.", material_id=material_id)


class FileTooLarge(Refusal):
    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"A file has at most {limit_bytes} bytes.", limit_bytes=limit_bytes)


class FileEmpty(Refusal):
    def __init__(self) -> None:
        super().__init__("The upload brought no file.")


class FileTypeUnsupported(Refusal):
    def __init__(self, content_type: str) -> None:
        super().__init__(
            "Upload Markdown, PDF, plain text or HTML, with its type or its usual ending.",
            content_type=content_type,
        )


class ProcessingNotFailed(Refusal):
    def __init__(self, status: str) -> None:
        super().__init__("Only a material whose processing failed is processed again.", status=status)


class ChunkNotFound(Refusal):
    def __init__(self, chunk_id: str) -> None:
        super().__init__("There is no such passage.", chunk_id=chunk_id)
