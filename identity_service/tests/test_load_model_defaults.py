"""The command load-model-defaults."""

from collections.abc import Callable

import pytest
from typer.testing import Result

from chassis.testing import execute_sql
from identity_service.administration.models import defaults
from identity_service.tests.commands import run_command

USES = """
SELECT component, model_name, provider, key_reference FROM component_models
JOIN models USING (model_id) JOIN model_backends USING (backend_id)
"""


async def load(url: str) -> Result:
    return await run_command(url, "load-model-defaults")


def count_changes(done: Result) -> tuple[int, int]:
    """Returns the numbers of added resources and assigned components. Other lines of the output are logs."""
    return done.stdout.count("added the "), done.stdout.count(" uses gpt-5.2\n")


@pytest.fixture
def url(new_database: Callable[[str], str]) -> str:
    return new_database("identity_service")


async def test_six_components_get_the_default_model_and_a_second_run_changes_nothing(url: str) -> None:
    first, second = await load(url), await load(url)
    assert (first.exit_code, *count_changes(first)) == (0, 2, 6)
    assert "env:OPENAI_API_KEY" in first.stdout
    assert (second.exit_code, *count_changes(second)) == (0, 0, 0)
    assert "nothing to do: the default models are already assigned\n" in second.stdout
    uses = {component: rest for component, *rest in execute_sql(url, USES)}
    assert {one for one, rest in uses.items() if rest == ["gpt-5.2", "openai", "env:OPENAI_API_KEY"]} == {
        *defaults.COMPONENTS
    }
    assert {rest[1] for one, rest in uses.items() if one not in defaults.COMPONENTS} == {"builtin"}
    assert execute_sql(url, "SELECT count(*) FROM outbox") == [(8,)]


async def test_an_existing_backend_is_used_and_not_changed(url: str) -> None:
    await load(url)
    execute_sql(url, "UPDATE model_backends SET key_reference = 'file:openai' WHERE provider = 'openai'")
    execute_sql(
        url,
        "UPDATE component_models SET model_id = (SELECT model_id FROM models WHERE model_name = 'extractive')"
        " WHERE component = 'tutor'",
    )
    again = await load(url)
    assert count_changes(again) == (0, 1)
    assert "tutor uses gpt-5.2\n" in again.stdout
    assert {rest[2] for _, *rest in execute_sql(url, USES) if rest[1] == "openai"} == {"file:openai"}


async def test_a_backend_of_another_provider_with_that_name_is_not_changed(url: str) -> None:
    execute_sql(url, "INSERT INTO model_backends (name, provider) VALUES ('OpenAI', 'google')")
    done = await load(url)
    assert (done.exit_code, *count_changes(done)) == (1, 0, 0)
    assert "there is another backend named OpenAI: rename it and run this command again\n" in done.stderr
    assert {rest[1] for _, *rest in execute_sql(url, USES)} == {"builtin"}
