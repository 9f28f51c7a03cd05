"""PDF files for tests."""

import io
import zlib
from collections.abc import Sequence

from fpdf import FPDF
from pypdf import PdfReader, PdfWriter


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
