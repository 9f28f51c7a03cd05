"""Passwords that nobody may set: those that ship with the service, and a file of the operator's."""

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from threading import Lock

from identity_service.sign_in.passwords import rules

_SHIPPED = "common.txt"
_DIGEST_BYTES = 8
# As the lists of Have I Been Pwned have it, with or without how often it was seen.
_SHA1 = re.compile(r"([0-9A-Fa-f]{40})(?::\d+)?")


class Digests:
    """The beginnings of many digests, eight bytes each: a million take 8 MB."""

    def __init__(self, digests: Iterable[bytes]) -> None:
        # Sorted by their first byte first, so that little is held twice.
        parts = [array("Q") for _ in range(256)]
        for digest in digests:
            parts[digest[0]].append(_number(digest))
        for at, part in enumerate(parts):
            parts[at] = array("Q", sorted({*part}))
        self._parts = parts

    def __contains__(self, digest: bytes) -> bool:
        part, number = self._parts[digest[0]], _number(digest)
        at = bisect_left(part, number)
        return at < len(part) and part[at] == number

    def __len__(self) -> int:
        return sum(map(len, self._parts))


class Blocklist:
    """What is asked before a password is set; read at the first question, unless before."""

    def __init__(self, path: Path | None = None) -> None:
        """`path` is a file with one password a line, or its SHA-1 in hexadecimal digits."""
        self._path = path
        self._reading = Lock()

    def __contains__(self, password: str) -> bool:
        digests = self.read()
        return _sha1(password) in digests or any(
            _of_text(text) in digests for text in rules.spellings(password)
        )

    def read(self) -> Digests:
        """Everything that is listed; read once, whoever asks meanwhile."""
        with self._reading:
            return self._digests

    @cached_property
    def _digests(self) -> Digests:
        return Digests(self._listed())

    def _listed(self) -> Iterator[bytes]:
        with (files("identity_service.sign_in.passwords") / _SHIPPED).open(encoding="utf-8") as shipped:
            yield from _digests(shipped)
        if self._path is not None:
            with self._path.open(encoding="utf-8", errors="replace") as more:
                yield from _digests(more)


def _digests(lines: Iterable[str]) -> Iterator[bytes]:
    for line in map(str.strip, lines):
        if digits := _SHA1.fullmatch(line):
            yield bytes.fromhex(digits[1])
        elif text := rules.compared(line):
            yield _of_text(text)


def _of_text(text: str) -> bytes:
    # Kept apart from the digests of passwords as they are spelled.
    return _sha1(f"compared {text}")


def _sha1(text: str) -> bytes:
    # It keeps no secret: it is what lists of stolen passwords are made of.
    return hashlib.sha1(text.encode(), usedforsecurity=False).digest()


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:_DIGEST_BYTES], "big")
