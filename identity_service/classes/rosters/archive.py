"""Unpacks the zip file of a roster within limits."""

import struct
import zlib
from collections.abc import Container
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from chassis.errors import FieldInvalid

MAX_UNPACKED_BYTES = 32 * 1024 * 1024
"""The size of all files together."""

_ENCRYPTED_FLAG = 0x1
_READ_BYTES = 64 * 1024
# The exceptions that zipfile raises if the bytes are not a zip file, or if it is damaged.
_ZIP_ERRORS = (
    BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)


def archive_error(problem: str) -> FieldInvalid:
    """Returns the error for an archive that is not a valid roster."""
    return FieldInvalid.of("archive", problem, "roster.archive")


def unpack(archive: bytes, names: Container[str]) -> dict[str, bytes]:
    """Returns the files of an archive that have these names.

    Raises FieldInvalid if the archive is not a valid zip file, or if it is too large.
    """
    try:
        with ZipFile(BytesIO(archive)) as opened:
            members = [one for one in opened.infolist() if not _is_ignored(one.filename)]
            _check_members(members)
            return {one.filename: _read_member(opened, one) for one in members if one.filename in names}
    except _ZIP_ERRORS as error:
        raise archive_error("must be a zip file that is not damaged") from error


def _is_ignored(name: str) -> bool:
    """Returns whether an entry is a directory, or metadata that macOS adds to every zip file."""
    top, base = name.partition("/")[0], name.rpartition("/")[2]
    return not base or top == "__MACOSX" or base == ".DS_Store" or base.startswith("._")


def _check_members(members: list[ZipInfo]) -> None:
    names = [one.filename for one in members]
    if any("/" in name or "\\" in name for name in names):
        raise archive_error("must not contain folders: put the files at the top level of the zip file")
    if len(set(names)) < len(names):
        raise archive_error("must not contain two files with the same name")
    if any(one.flag_bits & _ENCRYPTED_FLAG for one in members):
        raise archive_error("must not be encrypted: create it without a password")
    if any(one.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for one in members):
        raise archive_error("must be compressed with deflate, or not compressed")
    if sum(one.file_size for one in members) > MAX_UNPACKED_BYTES:
        raise _too_large()


def _read_member(opened: ZipFile, member: ZipInfo) -> bytes:
    """Counts the bytes while reading, because the sizes that a zip file states may be false."""
    chunks, room = [], MAX_UNPACKED_BYTES
    with opened.open(member) as file:
        while chunk := file.read(_READ_BYTES):
            room -= len(chunk)
            if room < 0:
                raise _too_large()
            chunks.append(chunk)
    return b"".join(chunks)


def _too_large() -> FieldInvalid:
    return archive_error(f"must be at most {MAX_UNPACKED_BYTES // 2**20} MiB when unpacked")
