"""The list of forbidden passwords: the passwords in `common.txt`, and a file of the operator."""

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

_BUNDLED_FILE = "common.txt"
_DIGEST_BYTES = 8
# The format of the Have I Been Pwned lists, with or without the number of occurrences.
_SHA1 = re.compile(r"([0-9A-Fa-f]{40})(?::\d+)?")


class DigestSet:
    """A set of digests that stores the first eight bytes of each: 8 MB for a million."""

    def __init__(self, digests: Iterable[bytes]) -> None:
        # Partitioned by the first byte, so that only one partition at a time exists twice during sorting.
        partitions = [array("Q") for _ in range(256)]
        for digest in digests:
            partitions[digest[0]].append(_to_int(digest))
        for index, partition in enumerate(partitions):
            partitions[index] = array("Q", sorted({*partition}))
        self._partitions = partitions

    def __contains__(self, digest: bytes) -> bool:
        partition, number = self._partitions[digest[0]], _to_int(digest)
        index = bisect_left(partition, number)
        return index < len(partition) and partition[index] == number

    def __len__(self) -> int:
        return sum(map(len, self._partitions))


class Blocklist:
    """The forbidden passwords. They are loaded at the first use, unless `load` was called before."""

    def __init__(self, path: Path | None = None) -> None:
        """`path` is a file with one password per line, or its SHA-1 in hexadecimal."""
        self._path = path
        self._loading = Lock()

    def __contains__(self, password: str) -> bool:
        digests = self.load()
        return _sha1(password) in digests or any(
            _normalized_digest(text) in digests for text in rules.variants(password)
        )

    def load(self) -> DigestSet:
        """Returns the digests of all forbidden passwords. The files are read once, also by concurrent calls."""
        with self._loading:
            return self._digests

    @cached_property
    def _digests(self) -> DigestSet:
        return DigestSet(self._read_files())

    def _read_files(self) -> Iterator[bytes]:
        with (files("identity_service.sign_in.passwords") / _BUNDLED_FILE).open(encoding="utf-8") as bundled:
            yield from _read_digests(bundled)
        if self._path is not None:
            with self._path.open(encoding="utf-8", errors="replace") as custom:
                yield from _read_digests(custom)


def _read_digests(lines: Iterable[str]) -> Iterator[bytes]:
    for line in map(str.strip, lines):
        if match := _SHA1.fullmatch(line):
            yield bytes.fromhex(match[1])
        elif text := rules.normalize(line):
            yield _normalized_digest(text)


def _normalized_digest(text: str) -> bytes:
    # The prefix separates normalized passwords from the exact ones of SHA-1 lists.
    return _sha1(f"compared {text}")


def _sha1(text: str) -> bytes:
    # Not used for security: lists of leaked passwords use SHA-1.
    return hashlib.sha1(text.encode(), usedforsecurity=False).digest()


def _to_int(digest: bytes) -> int:
    return int.from_bytes(digest[:_DIGEST_BYTES], "big")
