"""The composition root of the service, its settings and its migrations."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from chassis import migrations
from chassis.testing import Postgres, TestEnvironment
from chat_service.app import create_app
from chat_service.settings import Settings

MODEL = {"tutor": "openai", "tutor_base_url": "http://localhost:1/v1", "tutor_model": "small"}


def settings(env: TestEnvironment, url: str, **values: Any) -> Settings:
    env.credentials("chat_service")
    directory = env.credentials("chat_service").directory
    return Settings(
        database_url=url, secret="a secret of this test, long enough", tls_directory=directory, **values
    )


@pytest.mark.parametrize(
    "values", [{}, {"tutor": "extractive"}, MODEL], ids=["configured", "extractive", "openai"]
)
async def test_the_app_is_created_while_the_other_services_are_unavailable(
    env: TestEnvironment, new_database: Callable[[str], str], values: dict[str, Any]
) -> None:
    async with create_app(settings(env, new_database("chat_service"), **values)) as app:
        assert "meno.chat.v1.ChatService" in {served.descriptor.full_name for served in app.services}
        assert not app.security.revocations.ready.is_set()


@pytest.mark.parametrize(
    "values",
    [{"tutor": "openai"}, {"tutor": "oracle"}, {**MODEL, "tutor_api_key": "sk-the-key-itself"}],
    ids=["no endpoint", "unknown tutor", "key instead of reference"],
)
def test_invalid_tutor_settings_are_refused(env: TestEnvironment, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(env, "postgresql://", **values)


async def test_a_reference_to_a_missing_key_ends_the_start_with_an_error_message(
    env: TestEnvironment,
) -> None:
    wrong = settings(env, "postgresql://", **MODEL, tutor_api_key="env:NOT_THERE")
    with pytest.raises(
        SystemExit, match="MENO_TUTOR_API_KEY: the referenced environment variable does not exist"
    ):
        async with create_app(wrong):
            pass


def test_migrations_upgrade_and_downgrade_to_the_declared_tables(postgres: Postgres) -> None:
    url = postgres.create_empty()
    try:
        migrations.upgrade("chat_service", url)
        migrations.check("chat_service", url)
        migrations.downgrade("chat_service", url)
        migrations.upgrade("chat_service", url)
        migrations.check("chat_service", url)
    finally:
        postgres.drop(url)
