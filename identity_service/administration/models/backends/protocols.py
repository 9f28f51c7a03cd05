"""The protocol of each provider for listing models. The key is sent only in headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_NAMES = 100
_MAX_NAME_LENGTH = 200


@dataclass(frozen=True)
class Protocol:
    """The protocol of a provider."""

    default_base_url: str
    key_header: str
    key_prefix: str = ""
    extra_headers: Mapping[str, str] | None = None
    models_member: str = "data"
    """The member of the response that contains the list of models."""
    name_member: str = "id"
    """The member of a model that contains its name."""
    name_prefix: str = ""

    def url(self, base_url: str) -> str:
        """Returns the URL of the list of models."""
        return f"{(base_url or self.default_base_url).rstrip('/')}/models"

    def headers(self, key: str) -> dict[str, str]:
        """Returns the request headers.

        Compressed responses are not accepted, because a small response can decompress to any size.
        """
        headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            **(self.extra_headers or {}),
        }
        return {**headers, self.key_header: self.key_prefix + key} if key else headers

    def parse_names(self, response: Any, key: str) -> list[str] | None:
        """Returns up to 100 names of models, or None if the response does not match the protocol.

        A name that contains the key is left out: the server echoes the request.
        """
        models = response.get(self.models_member) if isinstance(response, dict) else None
        if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
            return None
        names = [model.get(self.name_member) for model in models]
        if not all(isinstance(name, str) and name for name in names):
            return None
        cleaned = [
            name.removeprefix(self.name_prefix)[:_MAX_NAME_LENGTH]
            for name in names
            if not (key and key in name)
        ]
        return cleaned[:MAX_NAMES]


PROTOCOLS: Mapping[str, Protocol] = {
    "openai": Protocol("https://api.openai.com/v1", "authorization", "Bearer "),
    "anthropic": Protocol(
        "https://api.anthropic.com/v1", "x-api-key", extra_headers={"anthropic-version": "2023-06-01"}
    ),
    "google": Protocol(
        "https://generativelanguage.googleapis.com/v1beta",
        "x-goog-api-key",
        models_member="models",
        name_member="name",
        name_prefix="models/",
    ),
}
"""The protocols by provider. The built-in provider has none."""
