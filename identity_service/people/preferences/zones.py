"""Time zones by their names, as the package tzdata brings them, so that every replica knows the same ones."""

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC = "UTC"


@cache
def names() -> frozenset[str]:
    """Every name of the IANA time zone database."""
    return frozenset((files("tzdata") / "zones").read_text().split())


@cache
def zone(name: str) -> ZoneInfo:
    """A zone. One that was known when it was chosen, and is no more, counts as UTC."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(UTC)
