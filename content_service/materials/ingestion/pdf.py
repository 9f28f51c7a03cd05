"""Reads PDF files."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pypdf import PageObject, PasswordType, PdfReader
from pypdf.errors import LimitReachedError
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    NullObject,
    StreamObject,
    TextStringObject,
)

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
    annotations = _value(page, "/Annots")
    for reference in annotations if isinstance(annotations, ArrayObject) else ():
        annotation = reference.get_object()
        # The reference to an annotation that was deleted is null.
        if not isinstance(annotation, DictionaryObject) or not _is_shown(annotation):
            continue
        appearances = _value(annotation, "/AP")
        appearance = _value(appearances, "/N") if isinstance(appearances, DictionaryObject) else None
        if isinstance(appearance, StreamObject):
            yield page.extract_xform_text(cast("EncodedStreamObject", appearance))
        elif appearance is None:
            # A reader draws the appearance itself. Buttons have one for each of their states, without text.
            yield _text(_value(annotation, "/V")) or _text(_value(annotation, "/Contents"))


def _is_shown(annotation: DictionaryObject) -> bool:
    flags = _value(annotation, "/F")
    is_hidden = isinstance(flags, int) and bool(flags & _NOT_SHOWN)
    return not is_hidden and _value(annotation, "/Subtype") in _SHOWN_ANNOTATIONS


def _text(value: Any) -> str:
    """Returns a string, or the strings of a list of choices. The states of buttons and signatures are not text."""
    values = value if isinstance(value, ArrayObject) else [value]
    return "\n".join(one for one in values if isinstance(one, TextStringObject))


def _value(dictionary: DictionaryObject, key: str) -> Any:
    """Returns the object of a key, or None if it is missing or null."""
    value = dictionary.get(key)
    found = value.get_object() if value is not None else None
    return None if isinstance(found, NullObject) else found
