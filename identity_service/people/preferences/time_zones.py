"""Time zones by IANA name, from the package tzdata, so that all replicas know the same zones."""

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC = "UTC"


@cache
def list_names() -> frozenset[str]:
    """Returns every name of the IANA time zone database."""
    return frozenset((files("tzdata") / "zones").read_text().split())


@cache
def get_zone(name: str) -> ZoneInfo:
    """Returns the time zone, or UTC if the name is unknown.

    A stored name can become unknown when a later release of tzdata removes it.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(UTC)
