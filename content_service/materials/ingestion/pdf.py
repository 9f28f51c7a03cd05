"""Reads PDF files."""

from pathlib import Path

from pypdf import PasswordType, PdfReader
from pypdf.errors import LimitReachedError

from content_service.materials.ingestion.types import TextLimits, UnreadableFile


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
        texts.append(page.extract_text())
        length += len(texts[-1])
        if length > limits.max_characters:
            raise UnreadableFile("TEXT_TOO_LONG")
    return texts
