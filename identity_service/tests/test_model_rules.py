"""Rules of model backends, and the protocols of their providers."""

from pathlib import Path
from typing import Any

import pytest

from chassis.errors import FieldInvalid
from identity_service.administration.models import defaults
from identity_service.administration.models.backends import rules
from identity_service.administration.models.backends.messages import PROVIDERS
from identity_service.administration.models.backends.protocols import PROTOCOLS
from identity_service.administration.models.backends.types import EgressPolicy
from identity_service.administration.models.components.messages import COMPONENTS
from identity_service.administration.models.components.rules import DESCRIPTIONS

POLICY = EgressPolicy(Path("/run/secrets"), frozenset({"localhost:11434"}))
KEY = "the-key"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
@pytest.mark.parametrize(
    ("base_url", "key_reference"),
    [
        ("", ""),
        ("https://models.example/v1", "env:SOME_KEY"),
        ("http://localhost:11434/v1", "file:openai"),
        ("", "file:/run/secrets/openai"),
    ],
)
def test_public_addresses_and_allow_listed_hosts_are_accepted(
    provider: str, base_url: str, key_reference: str
) -> None:
    rules.check_backend(provider, POLICY, base_url=base_url, key_reference=key_reference)


@pytest.mark.parametrize(
    ("provider", "base_url", "key_reference", "field"),
    [
        ("openai", "https://127.0.0.1/v1", "", "base_url"),
        ("openai", "https://2130706433/v1", "", "base_url"),
        ("openai", "http://models.example/v1", "", "base_url"),
        ("openai", "http://localhost:11435/v1", "", "base_url"),
        ("google", "https://key@models.example", "", "base_url"),
        ("anthropic", "https://169.254.169.254/latest", "", "base_url"),
        ("openai", "", "env:MENO_SECRET", "key_reference"),
        ("openai", "", "env:PGPASSWORD", "key_reference"),
        ("openai", "", "file:/etc/shadow", "key_reference"),
        ("openai", "", "file:/run/secrets/../shadow", "key_reference"),
        ("openai", "", "sk-the-key-itself", "key_reference"),
        ("builtin", "https://models.example/v1", "", "base_url"),
        ("builtin", "", "env:SOME_KEY", "key_reference"),
    ],
)
def test_private_addresses_and_forbidden_references_are_refused_with_their_field(
    provider: str, base_url: str, key_reference: str, field: str
) -> None:
    with pytest.raises(FieldInvalid, match=f"^{field}: ") as error:
        rules.check_backend(provider, POLICY, base_url=base_url, key_reference=key_reference)
    assert "the-key-itself" not in str(error.value)


def test_every_provider_has_a_protocol_and_every_component_a_description() -> None:
    assert {*PROTOCOLS, rules.BUILTIN} == {*PROVIDERS.names}
    assert {*DESCRIPTIONS} == {*COMPONENTS.names}
    assert {*defaults.COMPONENTS} <= {*DESCRIPTIONS}


@pytest.mark.parametrize(
    ("provider", "base_url", "url", "header"),
    [
        ("openai", "", "https://api.openai.com/v1/models", ("authorization", "Bearer the-key")),
        (
            "openai",
            "https://a.example/v1/",
            "https://a.example/v1/models",
            ("authorization", "Bearer the-key"),
        ),
        ("anthropic", "", "https://api.anthropic.com/v1/models", ("x-api-key", KEY)),
        (
            "google",
            "",
            "https://generativelanguage.googleapis.com/v1beta/models",
            ("x-goog-api-key", KEY),
        ),
    ],
)
def test_the_url_and_headers_of_each_provider(
    provider: str, base_url: str, url: str, header: tuple[str, str]
) -> None:
    protocol = PROTOCOLS[provider]
    name, value = header
    assert protocol.url(base_url) == url
    assert protocol.headers(KEY)[name] == value
    assert name not in protocol.headers("")
    assert ("anthropic-version" in protocol.headers("")) == (provider == "anthropic")


@pytest.mark.parametrize(
    ("provider", "response", "names"),
    [
        ("openai", {"object": "list", "data": [{"id": "gpt-5.2", "object": "model"}]}, ["gpt-5.2"]),
        ("openai", {"data": []}, []),
        ("openai", {"data": [{"id": f"m{number}"} for number in range(150)]}, [f"m{n}" for n in range(100)]),
        ("openai", {"data": [{"id": "x" * 1000}]}, ["x" * 200]),
        ("openai", {"data": [{"id": "an echo of the-key"}, {"id": "m"}]}, ["m"]),
        ("anthropic", {"data": [{"type": "model", "id": "claude-opus-4-6"}]}, ["claude-opus-4-6"]),
        (
            "google",
            {"models": [{"name": "models/gemini-3"}, {"name": "tunedModels/x"}]},
            ["gemini-3", "tunedModels/x"],
        ),
        ("google", {"data": [{"id": "gpt-5.2"}]}, None),
        ("openai", {"models": [{"name": "models/gemini-3"}]}, None),
        ("openai", {"data": {"id": "m"}}, None),
        ("openai", {"data": ["m"]}, None),
        ("openai", {"data": [{"id": 5}]}, None),
        ("openai", {"data": [{"name": "m"}]}, None),
        ("openai", [], None),
        ("openai", None, None),
        ("openai", "data", None),
    ],
)
def test_model_names_are_parsed_by_the_protocol_of_the_provider(
    provider: str, response: Any, names: list[str] | None
) -> None:
    assert PROTOCOLS[provider].parse_names(response, KEY) == names
