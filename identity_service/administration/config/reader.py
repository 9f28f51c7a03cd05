"""Reads the configuration for the other packages."""

from collections.abc import Collection
from typing import Any

from chassis.database import Executor
from identity_service.administration.config import rules, store


class ConfigReader:
    """Returns the effective value of each key: the value that an administrator set, or the default."""

    def __init__(self, *, signup_role: str, allowed_roles: Collection[str]) -> None:
        """The parameters are defaults from the environment."""
        self.keys = rules.create_config_keys(signup_role=signup_role, allowed_roles=allowed_roles)

    async def value(self, executor: Executor, key: str) -> Any:
        """Returns the value of a key. Raises KeyError if there is no such key."""
        row = await store.get(executor, key)
        return row.value if row is not None else self.keys[key].default
