"""The service as an operator starts it, and its migrations."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from chassis import migrations
from chassis.testing import House, Postgres
from chat_service.app import compose
from chat_service.settings import Settings

MODEL = {"tutor": "openai", "tutor_base_url": "http://localhost:1/v1", "tutor_model": "small"}


def settings(house: House, url: str, **values: Any) -> Settings:
    house.identity("chat_service")
    directory = house.identity("chat_service").directory
    return Settings(
        database_url=url, secret="a secret of this test, long enough", tls_directory=directory, **values
    )


@pytest.mark.parametrize(
    "values", [{}, {"tutor": "extractive"}, MODEL], ids=["configured", "extractive", "openai"]
)
async def test_the_service_is_composed_without_its_peers_being_there(
    house: House, new_database: Callable[[str], str], values: dict[str, Any]
) -> None:
    async with compose(settings(house, new_database("chat_service"), **values)) as app:
        assert "meno.chat.v1.ChatService" in {served.descriptor.full_name for served in app.services}
        assert not app.guard.rights.ready.is_set()


@pytest.mark.parametrize(
    "values",
    [{"tutor": "openai"}, {"tutor": "oracle"}, {**MODEL, "tutor_api_key": "sk-the-key-itself"}],
    ids=["no endpoint", "unknown", "key"],
)
def test_a_tutor_that_cannot_be_is_a_wrong_setting(house: House, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(house, "postgresql://", **values)


async def test_a_key_that_leads_nowhere_ends_the_start_with_a_line(house: House) -> None:
    wrong = settings(house, "postgresql://", **MODEL, tutor_api_key="env:NOT_THERE")
    with pytest.raises(SystemExit, match="MENO_TUTOR_API_KEY: there is no such variable"):
        async with compose(wrong):
            pass


def test_migrations_lead_to_the_tables_and_back(postgres: Postgres) -> None:
    url = postgres.create_empty()
    try:
        migrations.upgrade("chat_service", url)
        migrations.check("chat_service", url)
        migrations.downgrade("chat_service", url)
        migrations.upgrade("chat_service", url)
        migrations.check("chat_service", url)
    finally:
        postgres.drop(url)
