"""What the service tells of people who study."""

from datetime import UTC, datetime, timedelta

from chassis.testing import House
from chat_service import activity
from chat_service.tests.conftest import Server, collect


async def test_who_asks_studies_and_who_only_looks_does_not(house: House, server: Server) -> None:
    asks, looks = server.person(), server.person()
    await server.messages(looks, await server.chat(looks))
    chat, before = await server.chat(asks), datetime.now(UTC)
    for _ in range(2):
        await collect(server.ask(asks, chat))
    fact = await house.until_told(activity.KIND, user_id=asks.user_id)
    told = datetime.fromisoformat(fact.body["activity_time"])
    assert before <= told <= before + timedelta(minutes=1)
    await collect(server.ask(last := server.person(), await server.chat(last)))
    await house.until_told(activity.KIND, user_id=last.user_id)
    assert [one.body["user_id"] for one in house.told if one.kind == activity.KIND] == [
        asks.user_id,
        last.user_id,
    ]
