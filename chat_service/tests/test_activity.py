"""Reports of learning activity to identity_service."""

from datetime import UTC, datetime, timedelta

from chassis import activity
from chassis.testing import TestEnvironment
from chat_service.tests.conftest import Server, collect


async def test_asking_reports_activity_and_reading_does_not(env: TestEnvironment, server: Server) -> None:
    asker, reader = server.user(), server.user()
    await server.messages(reader, await server.chat(reader))
    chat, before = await server.chat(asker), datetime.now(UTC)
    for _ in range(2):
        await collect(server.ask(asker, chat))
    fact = await env.wait_for_outbox(activity.KIND, user_id=asker.user_id)
    reported = datetime.fromisoformat(fact.body["activity_time"])
    assert before <= reported <= before + timedelta(minutes=1)
    await collect(server.ask(last := server.user(), await server.chat(last)))
    await env.wait_for_outbox(activity.KIND, user_id=last.user_id)
    assert [one.body["user_id"] for one in env.sent if one.kind == activity.KIND] == [
        asker.user_id,
        last.user_id,
    ]
