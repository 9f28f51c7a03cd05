"""The pages of a PDF."""

from pathlib import Path

from pypdf import PasswordType, PdfReader
from pypdf.errors import LimitReachedError

from content_service.materials.ingestion.rules import Limits, Unreadable


def pages(path: Path, limits: Limits) -> list[str]:
    """The text of each page. Raises Unreadable; whatever the reader trips over means a damaged file."""
    try:
        return _pages(path, limits)
    except (Unreadable, MemoryError, RecursionError):
        raise
    except LimitReachedError as error:
        raise Unreadable("TEXT_TOO_LONG") from error
    except Exception as error:
        raise Unreadable("FILE_CORRUPT") from error


def _pages(path: Path, limits: Limits) -> list[str]:
    reader = PdfReader(path)
    # Many files are encrypted under an empty password, only to forbid printing.
    if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
        raise Unreadable("FILE_ENCRYPTED")
    if len(reader.pages) > limits.max_pages:
        raise Unreadable("TEXT_TOO_LONG")
    texts, length = [], 0
    for page in reader.pages:
        texts.append(page.extract_text())
        length += len(texts[-1])
        if length > limits.max_characters:
            raise Unreadable("TEXT_TOO_LONG")
    return texts
