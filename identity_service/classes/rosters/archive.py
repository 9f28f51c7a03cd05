"""The zip that a roster comes in, unpacked within bounds."""

import struct
import zlib
from collections.abc import Container
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from chassis.errors import FieldInvalid

MAX_UNPACKED = 32 * 1024 * 1024
"""Bytes of all files together."""

_ENCRYPTED = 0x1
_PIECE = 64 * 1024
# What zipfile raises for bytes that are no zip, or a damaged one.
_BROKEN = (
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


def unreadable(problem: str) -> FieldInvalid:
    """The refusal of an archive that is no roster."""
    return FieldInvalid.of("archive", problem, "roster.archive")


def unpack(archive: bytes, wanted: Container[str]) -> dict[str, bytes]:
    """The files of these names that a zip holds. Raises FieldInvalid where it is none, or more than is taken."""
    try:
        with ZipFile(BytesIO(archive)) as packed:
            members = packed.infolist()
            _check(members)
            return {one.filename: _unpacked(packed, one) for one in members if one.filename in wanted}
    except _BROKEN as error:
        raise unreadable("is no zip, or a damaged one") from error


def _check(members: list[ZipInfo]) -> None:
    names = [one.filename for one in members]
    if any("/" in name or "\\" in name for name in names):
        raise unreadable("holds a folder: put the files at the top of the zip")
    if len(set(names)) < len(names):
        raise unreadable("holds two files of one name")
    if any(one.flag_bits & _ENCRYPTED for one in members):
        raise unreadable("is encrypted: send it without a password")
    if any(one.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for one in members):
        raise unreadable("is compressed in a way that is not common: use deflate")
    if sum(one.file_size for one in members) > MAX_UNPACKED:
        raise _too_large()


def _unpacked(packed: ZipFile, member: ZipInfo) -> bytes:
    """The bytes of a file, counted as they come, for what a zip says of itself may be false."""
    pieces, room = [], MAX_UNPACKED
    with packed.open(member) as file:
        while piece := file.read(_PIECE):
            room -= len(piece)
            if room < 0:
                raise _too_large()
            pieces.append(piece)
    return b"".join(pieces)


def _too_large() -> FieldInvalid:
    return unreadable(f"is larger than {MAX_UNPACKED // 2**20} MiB when it is unpacked")
