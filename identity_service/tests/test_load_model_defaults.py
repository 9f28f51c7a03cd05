"""The command that loads the models that most installations begin with."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from identity_service.__main__ import cli
from identity_service.administration.models import defaults

USES = """
SELECT component, model_name, provider, key_reference FROM component_models
JOIN models USING (model_id) JOIN model_backends USING (backend_id)
"""


async def load(url: str) -> Result:
    """Runs the command in a thread, for it has an event loop of its own."""
    settings = {"MENO_DATABASE_URL": url, "MENO_SECRET": "s" * 32, "MENO_TLS_DIRECTORY": str(Path())}
    return await asyncio.to_thread(CliRunner().invoke, cli, ["load-model-defaults"], env=settings)


def told(done: Result) -> tuple[int, int]:
    """How many things it added and how many components it set; what others log meanwhile is not its own."""
    return done.stdout.count("added the "), done.stdout.count(" uses gpt-5.2\n")


@pytest.fixture
def url(new_database: Callable[[str], str]) -> str:
    return new_database("identity_service")


async def test_the_six_components_use_the_default_model_and_a_second_time_does_nothing(url: str) -> None:
    first, second = await load(url), await load(url)
    assert (first.exit_code, *told(first)) == (0, 2, 6)
    assert "env:OPENAI_API_KEY" in first.stdout
    assert (second.exit_code, *told(second)) == (0, 0, 0)
    assert "nothing to do: the defaults are loaded\n" in second.stdout
    with psycopg.connect(url) as connection:
        uses = {component: rest for component, *rest in connection.execute(USES)}
        audited = connection.execute("SELECT count(*) FROM outbox").fetchone()
    assert {one for one, rest in uses.items() if rest == ["gpt-5.2", "OPENAI", "env:OPENAI_API_KEY"]} == {
        *defaults.COMPONENTS
    }
    assert {rest[1] for one, rest in uses.items() if one not in defaults.COMPONENTS} == {"BUILTIN"}
    assert audited == (8,)


async def test_what_is_there_is_used_and_not_changed(url: str) -> None:
    await load(url)
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE model_backends SET key_reference = 'file:openai' WHERE provider = 'OPENAI'"
        )
        connection.execute(
            "UPDATE component_models SET model_id = (SELECT model_id FROM models WHERE model_name = 'extractive')"
            " WHERE component = 'TUTOR'"
        )
    again = await load(url)
    assert told(again) == (0, 1)
    assert "TUTOR uses gpt-5.2\n" in again.stdout
    with psycopg.connect(url) as connection:
        assert {rest[2] for _, *rest in connection.execute(USES) if rest[1] == "OPENAI"} == {"file:openai"}


async def test_a_backend_of_another_kind_by_that_name_is_left_alone(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO model_backends (name, provider) VALUES ('OpenAI', 'GOOGLE')")
    done = await load(url)
    assert (done.exit_code, *told(done)) == (1, 0, 0)
    assert "there is another backend named OpenAI: rename it and run this again\n" in done.stderr
    with psycopg.connect(url) as connection:
        assert {rest[1] for _, *rest in connection.execute(USES)} == {"BUILTIN"}
