"""Etags: the version of a row, opaque to clients."""

from chassis.errors import EtagMismatch


def etag(version: int) -> str:
    """The etag of a row at this version."""
    return f"{version:x}"


def check(given: str, version: int) -> None:
    """Passes an empty etag or the current one. Raises EtagMismatch with the current one."""
    if given and given != etag(version):
        raise EtagMismatch(etag(version))
