"""PDF files for tests."""

import io
import zlib
from collections.abc import Sequence

from fpdf import FPDF
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NullObject,
    NumberObject,
    PdfObject,
    TextStringObject,
)


def pdf(pages: Sequence[str]) -> bytes:
    """Returns a PDF with one page for each text, which is one line. A page without text is blank."""
    document = FPDF()
    document.set_font("Times", size=12)
    for text in pages:
        document.add_page()
        document.text(10, 10, text)
    return bytes(document.output())


def encrypt(document: bytes, password: str) -> bytes:
    """Returns the PDF encrypted with a password."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(document)))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def bomb(length: int) -> bytes:
    """Returns a small PDF with a page that decompresses to `length` bytes."""
    packed = zlib.compress(b"BT /F1 9 Tf (word) Tj ET\n" * (length // 25), 9)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>",
    ]
    written = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
    return bytes(written) + trailer % (table, len(written))


def annotated(
    subtype: str, *, appearance: str = "", contents: str = "", flags: int = 0, value: PdfObject | None = None
) -> bytes:
    """Returns a PDF with one annotation on a blank page: its appearance shows a text, or a reader draws it.

    References to missing objects are before and after the annotation.
    """
    writer = PdfWriter()
    page = writer.add_blank_page(width=300, height=300)
    annotation = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject(subtype),
            NameObject("/Rect"): ArrayObject([NumberObject(number) for number in (10, 10, 200, 50)]),
            NameObject("/F"): NumberObject(flags),
            NameObject("/Contents"): TextStringObject(contents),
        }
    )
    if value is not None:
        annotation[NameObject("/V")] = value
    if appearance:
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 9 Tf 2 2 Td ({appearance}) Tj ET".encode())
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        fonts = DictionaryObject({NameObject("/F1"): font})
        stream[NameObject("/Type")] = NameObject("/XObject")
        stream[NameObject("/Subtype")] = NameObject("/Form")
        stream[NameObject("/BBox")] = ArrayObject([NumberObject(number) for number in (0, 0, 190, 40)])
        stream[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        normal = DictionaryObject({NameObject("/N"): writer._add_object(stream)})
        annotation[NameObject("/AP")] = normal
    missing = IndirectObject(999, 0, writer)
    page[NameObject("/Annots")] = ArrayObject([missing, writer._add_object(annotation), NullObject()])
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()
