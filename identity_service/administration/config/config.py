"""The configuration as the other aggregates read it."""

from typing import Any

from chassis.database import Executor
from identity_service.administration.config import rules, store
from identity_service.settings import Settings


class Config:
    """The value that holds of each key: what an administrator set, or the default."""

    def __init__(self, settings: Settings) -> None:
        self.keys = rules.keys(settings)

    async def value(self, executor: Executor, key: str) -> Any:
        """The value of a key. Raises KeyError for one that does not exist."""
        row = await store.get(executor, key)
        return row.value if row is not None else self.keys[key].default
