"""Value types of the configuration."""

from datetime import datetime
from typing import Any, NamedTuple


class ConfigRow(NamedTuple):
    """A value that an administrator has set."""

    key: str
    value: Any
    version: int
    updated_at: datetime
    updated_by_user_id: str | None
