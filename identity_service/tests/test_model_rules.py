"""Rules of models and the protocols of their providers: values alone."""

from pathlib import Path
from typing import Any

import pytest

from chassis.errors import FieldInvalid
from chassis.wire import Spelling
from identity_service.administration.models import defaults, rules
from identity_service.administration.models.protocols import PROTOCOLS
from identity_service.administration.models.rules import Reach
from meno.identity.v1.admin_service_pb2 import ModelComponent, ModelProvider

REACH = Reach(Path("/run/secrets"), frozenset({"localhost:11434"}))
KEY = "the-key"


@pytest.mark.parametrize("provider", ["OPENAI", "ANTHROPIC", "GOOGLE"])
@pytest.mark.parametrize(
    ("base_url", "key_reference"),
    [
        ("", ""),
        ("https://models.example/v1", "env:SOME_KEY"),
        ("http://localhost:11434/v1", "file:openai"),
        ("", "file:/run/secrets/openai"),
    ],
)
def test_a_backend_may_be_outside_or_where_an_operator_said(
    provider: str, base_url: str, key_reference: str
) -> None:
    rules.check(provider, REACH, base_url=base_url, key_reference=key_reference)


@pytest.mark.parametrize(
    ("provider", "base_url", "key_reference", "field"),
    [
        ("OPENAI", "https://127.0.0.1/v1", "", "base_url"),
        ("OPENAI", "https://2130706433/v1", "", "base_url"),
        ("OPENAI", "http://models.example/v1", "", "base_url"),
        ("OPENAI", "http://localhost:11435/v1", "", "base_url"),
        ("GOOGLE", "https://key@models.example", "", "base_url"),
        ("ANTHROPIC", "https://169.254.169.254/latest", "", "base_url"),
        ("OPENAI", "", "env:MENO_SECRET", "key_reference"),
        ("OPENAI", "", "env:PGPASSWORD", "key_reference"),
        ("OPENAI", "", "file:/etc/shadow", "key_reference"),
        ("OPENAI", "", "file:/run/secrets/../shadow", "key_reference"),
        ("OPENAI", "", "sk-the-key-itself", "key_reference"),
        ("BUILTIN", "https://models.example/v1", "", "base_url"),
        ("BUILTIN", "", "env:SOME_KEY", "key_reference"),
    ],
)
def test_what_leads_into_the_house_is_refused_by_its_field(
    provider: str, base_url: str, key_reference: str, field: str
) -> None:
    with pytest.raises(FieldInvalid, match=f"^{field}: ") as error:
        rules.check(provider, REACH, base_url=base_url, key_reference=key_reference)
    assert "the-key-itself" not in str(error.value)


def test_every_provider_has_a_protocol_and_every_component_a_description() -> None:
    assert {*PROTOCOLS, rules.BUILTIN} == {*Spelling(ModelProvider).texts}
    assert {*rules.DESCRIPTIONS} == {*Spelling(ModelComponent).texts}
    assert {*defaults.COMPONENTS} <= {*rules.DESCRIPTIONS}


@pytest.mark.parametrize(
    ("provider", "base_url", "url", "header"),
    [
        ("OPENAI", "", "https://api.openai.com/v1/models", ("authorization", "Bearer the-key")),
        (
            "OPENAI",
            "https://a.example/v1/",
            "https://a.example/v1/models",
            ("authorization", "Bearer the-key"),
        ),
        ("ANTHROPIC", "", "https://api.anthropic.com/v1/models", ("x-api-key", KEY)),
        (
            "GOOGLE",
            "",
            "https://generativelanguage.googleapis.com/v1beta/models",
            ("x-goog-api-key", KEY),
        ),
    ],
)
def test_a_provider_is_asked_in_its_own_way(
    provider: str, base_url: str, url: str, header: tuple[str, str]
) -> None:
    protocol = PROTOCOLS[provider]
    name, value = header
    assert protocol.url(base_url) == url
    assert protocol.asking(KEY)[name] == value
    assert name not in protocol.asking("")
    assert ("anthropic-version" in protocol.asking("")) == (provider == "ANTHROPIC")


@pytest.mark.parametrize(
    ("provider", "answer", "names"),
    [
        ("OPENAI", {"object": "list", "data": [{"id": "gpt-5.2", "object": "model"}]}, ["gpt-5.2"]),
        ("OPENAI", {"data": []}, []),
        ("OPENAI", {"data": [{"id": f"m{number}"} for number in range(150)]}, [f"m{n}" for n in range(100)]),
        ("OPENAI", {"data": [{"id": "x" * 1000}]}, ["x" * 200]),
        ("OPENAI", {"data": [{"id": "an echo of the-key"}, {"id": "m"}]}, ["m"]),
        ("ANTHROPIC", {"data": [{"type": "model", "id": "claude-opus-4-6"}]}, ["claude-opus-4-6"]),
        (
            "GOOGLE",
            {"models": [{"name": "models/gemini-3"}, {"name": "tunedModels/x"}]},
            ["gemini-3", "tunedModels/x"],
        ),
        ("GOOGLE", {"data": [{"id": "gpt-5.2"}]}, None),
        ("OPENAI", {"models": [{"name": "models/gemini-3"}]}, None),
        ("OPENAI", {"data": {"id": "m"}}, None),
        ("OPENAI", {"data": ["m"]}, None),
        ("OPENAI", {"data": [{"id": 5}]}, None),
        ("OPENAI", {"data": [{"name": "m"}]}, None),
        ("OPENAI", [], None),
        ("OPENAI", None, None),
        ("OPENAI", "data", None),
    ],
)
def test_an_answer_is_read_as_the_provider_writes_it(
    provider: str, answer: Any, names: list[str] | None
) -> None:
    assert PROTOCOLS[provider].names(answer, KEY) == names
