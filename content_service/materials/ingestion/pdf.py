"""Reads PDF files."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pypdf import PageObject, PasswordType, PdfReader
from pypdf.errors import LimitReachedError
from pypdf.generic import StreamObject

from content_service.materials.ingestion import right_to_left
from content_service.materials.ingestion.types import TextLimits, UnreadableFile

if TYPE_CHECKING:
    from pypdf.generic import EncodedStreamObject

_SHOWN_ANNOTATIONS = frozenset({"/Widget", "/FreeText", "/Stamp"})
_NOT_SHOWN = 0b100010
"""The flags Hidden and NoView of an annotation (ISO 32000-2, 12.5.3)."""


def read_pages(path: Path, limits: TextLimits) -> list[str]:
    """Returns the text of each page. Raises UnreadableFile; any error of the parser means a damaged file."""
    try:
        return _read_pages(path, limits)
    except (UnreadableFile, MemoryError, RecursionError):
        raise
    except LimitReachedError as error:
        raise UnreadableFile("TEXT_TOO_LONG") from error
    except Exception as error:
        raise UnreadableFile("FILE_CORRUPT") from error


def _read_pages(path: Path, limits: TextLimits) -> list[str]:
    reader = PdfReader(path)
    # Many files are encrypted with an empty password, only to forbid printing.
    if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
        raise UnreadableFile("FILE_ENCRYPTED")
    if len(reader.pages) > limits.max_pages:
        raise UnreadableFile("TEXT_TOO_LONG")
    texts, length = [], 0
    for page in reader.pages:
        parts = [page.extract_text(), *_annotation_texts(page)]
        texts.append(right_to_left.repair("\n".join(part for part in parts if part)))
        length += len(texts[-1])
        if length > limits.max_characters:
            raise UnreadableFile("TEXT_TOO_LONG")
    return texts


def _annotation_texts(page: PageObject) -> Iterator[str]:
    """Yields the texts of form fields, text boxes and stamps that the page shows."""
    for reference in page.get("/Annots") or ():
        annotation = reference.get_object()
        if annotation.get("/Subtype") not in _SHOWN_ANNOTATIONS or int(annotation.get("/F", 0)) & _NOT_SHOWN:
            continue
        appearance = annotation.get("/AP", {}).get("/N")
        appearance = appearance.get_object() if appearance is not None else None
        if isinstance(appearance, StreamObject):
            yield page.extract_xform_text(cast("EncodedStreamObject", appearance))
        elif appearance is None:
            # A reader draws the appearance itself. Buttons have one for each of their states, without text.
            yield str(annotation.get("/V") or annotation.get("/Contents") or "")
