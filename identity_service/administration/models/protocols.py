"""How each provider is asked which models it has, and what its answer says. The key is in the headers alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_NAMES = 100
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Protocol:
    """What one provider speaks."""

    address: str
    """Its own, where a backend has none."""
    key_header: str
    key_prefix: str = ""
    headers: Mapping[str, str] | None = None
    models: str = "data"
    """The member of the answer that lists the models."""
    name: str = "id"
    """The member of a model that is its name."""
    name_prefix: str = ""

    def url(self, base_url: str) -> str:
        """Where the models are listed."""
        return f"{(base_url or self.address).rstrip('/')}/models"

    def asking(self, key: str) -> dict[str, str]:
        """The headers of the question. What is packed could unpack to any length, so nothing may be."""
        asked = {"accept": "application/json", "accept-encoding": "identity", **(self.headers or {})}
        return {**asked, self.key_header: self.key_prefix + key} if key else asked

    def names(self, answer: Any, key: str) -> list[str] | None:
        """The names of the models, as many as are told; None where the answer is not the provider's.

        A name that has the key in it is that of nothing but an echo.
        """
        models = answer.get(self.models) if isinstance(answer, dict) else None
        if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
            return None
        named = [model.get(self.name) for model in models]
        if not all(isinstance(name, str) and name for name in named):
            return None
        shown = [
            name.removeprefix(self.name_prefix)[:_LONGEST_NAME] for name in named if not (key and key in name)
        ]
        return shown[:MOST_NAMES]


PROTOCOLS: Mapping[str, Protocol] = {
    "OPENAI": Protocol("https://api.openai.com/v1", "authorization", "Bearer "),
    "ANTHROPIC": Protocol(
        "https://api.anthropic.com/v1", "x-api-key", headers={"anthropic-version": "2023-06-01"}
    ),
    "GOOGLE": Protocol(
        "https://generativelanguage.googleapis.com/v1beta",
        "x-goog-api-key",
        models="models",
        name="name",
        name_prefix="models/",
    ),
}
"""By provider; the built-in one is asked nothing."""
