"""The encoding of text files: the right text, or a refusal, but never another text."""

import codecs
from pathlib import Path

import pytest

from content_service.materials.ingestion import rules
from content_service.materials.ingestion.extraction import extract
from content_service.materials.ingestion.types import SourceFile, TextLimits, UnreadableFile
from content_service.materials.rules import HTML, MARKDOWN, PLAIN, charset
from content_service.tests.pdf import pdf

LIMITS = TextLimits(max_characters=10_000, max_pages=1)
GERMAN = "Der Mond zieht das Wasser an – „Größe“ und Nähe zählen."
RUSSIAN = "Весной снег тает, и реки выходят из берегов. Летом воды становится меньше."
CHINESE = "春天的时候,山上的雪慢慢融化,河里的水越来越多。"
JAPANESE = "春になると山の雪がとけて、川の水が増えます。"
HEBREW = "באביב השלג נמס בהרים והנהרות מתמלאים במים."
POLISH = "Wiosną śnieg w górach topnieje, a rzeki niosą więcej wody."
DANISH = "Om foråret smelter sneen på øerne, og åerne bærer mere vand."


def read(path: Path, raw: bytes, file_format: str = PLAIN, charset: str = "") -> str:
    """Returns the text of a file, or the cause of its failure."""
    path.write_bytes(raw)
    try:
        return extract(SourceFile(path, file_format, charset), LIMITS).text
    except UnreadableFile as failure:
        return failure.cause


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, CHINESE, JAPANESE, POLISH, DANISH])
def test_a_byte_order_mark_and_utf_8_are_recognized(tmp_path: Path, text: str) -> None:
    for raw in (
        text.encode(),
        text.encode("utf-8-sig"),
        *(codecs.BOM_UTF16_LE + text.encode("utf-16-le"), codecs.BOM_UTF16_BE + text.encode("utf-16-be")),
        *(codecs.BOM_UTF32_LE + text.encode("utf-32-le"), codecs.BOM_UTF32_BE + text.encode("utf-32-be")),
    ):
        # A byte order mark decides against a declared charset.
        assert read(tmp_path / "file", raw, charset="" if raw == text.encode() else "koi8-r") == text


@pytest.mark.parametrize(
    ("declared", "encoding", "text"),
    [
        ("windows-1251", "cp1251", RUSSIAN),
        ("KOI8-R", "koi8-r", RUSSIAN),
        ("gb2312", "gbk", CHINESE),
        ("Shift_JIS", "cp932", JAPANESE),
        ("EUC-JP", "euc_jp", JAPANESE),
        ("iso-8859-2", "iso-8859-2", POLISH),
        ("ISO-8859-1", "cp1252", DANISH),
    ],
)
def test_a_declared_charset_decides(tmp_path: Path, declared: str, encoding: str, text: str) -> None:
    path = tmp_path / "file"
    for file_format in (PLAIN, MARKDOWN):
        assert read(path, text.encode(encoding), file_format, charset(f"text/x; charset={declared}")) == text
    for head in (
        f"<meta charset='{declared}'>",
        f'<meta http-equiv="Content-Type" content="text/html; charset={declared}">',
        f'<?xml version="1.0" encoding="{declared}"?>',
    ):
        page = f"{head}<p>{text}</p>".encode(encoding)
        assert read(path, page, HTML) == text
        assert read(path, page, HTML, charset="utf-8") == text
    assert read(path, f"<meta charset=utf-16><p>{text}</p>".encode(), HTML) == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", GERMAN),
        ("cp1252", DANISH),
        ("cp1251", RUSSIAN),
        ("koi8-r", RUSSIAN),
        ("gbk", CHINESE),
        ("shift_jis", JAPANESE),
        ("euc_jp", JAPANESE),
        ("iso-8859-2", POLISH),
        ("cp1250", POLISH),
        ("cp1255", HEBREW),
        ("utf-16-le", GERMAN),
        ("utf-16-be", RUSSIAN),
    ],
)
def test_a_guess_is_right_or_refused(tmp_path: Path, encoding: str, text: str) -> None:
    raw = text.encode(encoding, "ignore")
    assert read(tmp_path / "file", raw) in {raw.decode(encoding), "ENCODING_UNKNOWN"}


def test_confident_guesses_are_taken_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read(path, GERMAN.encode("cp1252")) == GERMAN
    assert read(path, RUSSIAN.encode("cp1251")) == RUSSIAN
    assert read(path, CHINESE.encode("gbk")) == CHINESE
    assert read(path, DANISH.encode("cp1252")) == "ENCODING_UNKNOWN"
    assert rules.failure_reason("ENCODING_UNKNOWN") == "FILE_CORRUPT"
    assert "UTF-8" in rules.failure_message("ENCODING_UNKNOWN")


def test_a_byte_order_mark_before_other_bytes_is_damage(tmp_path: Path) -> None:
    assert read(tmp_path / "file", codecs.BOM_UTF16_LE + b"\x00\xd8" * 99) == "FILE_CORRUPT"


def test_a_pdf_with_the_name_of_a_text_is_refused(tmp_path: Path) -> None:
    for file_format in (PLAIN, MARKDOWN, HTML):
        assert read(tmp_path / "file", pdf(["Granite is a rock."]), file_format) == "NOT_TEXT"
    assert rules.failure_reason("NOT_TEXT") == "FILE_CORRUPT"


@pytest.mark.parametrize(
    ("content_type", "found"),
    [
        ("text/plain", ""),
        ("text/plain; charset=windows-1251", "windows-1251"),
        ('text/html;version=1; Charset="GBK"', "gbk"),
        ("text/plain; charset=", ""),
    ],
)
def test_the_charset_of_a_media_type(content_type: str, found: str) -> None:
    assert charset(content_type) == found
