"""What is studied in one service counts in another."""

from datetime import UTC, datetime

from meno.chat.v1.chat_service_pb2 import AskRequest, CreateChatRequest
from meno.chat.v1.resources_pb2 import SourceMode
from meno.session.v1.session_service_pb2 import CreateSessionRequest
from tests.installation import Installation, wait_until_studied


async def test_who_asks_or_begins_a_session_has_a_streak(installation: Installation) -> None:
    asks, begins = await installation.sign_up_student(), await installation.sign_up_student()
    before = datetime.now(UTC)
    chat = await asks.chats.CreateChat(
        CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_GENERAL), **asks.auth
    )
    question = AskRequest(user_id="me", chat_id=chat.chat_id, text="Why?")
    async for _ in asks.chats.Ask(question, **asks.auth):
        pass
    await begins.sessions.CreateSession(CreateSessionRequest(user_id="me"), **begins.auth)
    for person in (asks, begins):
        user = await wait_until_studied(person)
        assert user.streak_days == 1
        assert user.last_active_time.ToDatetime(UTC) >= before
