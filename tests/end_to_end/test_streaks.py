"""Activity in session_service and chat_service counts for the streak in identity_service."""

from datetime import UTC, datetime

from meno.chat.v1.chat_service_pb2 import AskRequest, CreateChatRequest
from meno.chat.v1.resources_pb2 import SourceMode
from meno.session.v1.session_service_pb2 import CreateSessionRequest
from tests.installation import Installation, wait_until_studied


async def test_asking_and_creating_a_session_start_a_streak(installation: Installation) -> None:
    asking, studying = await installation.sign_up_student(), await installation.sign_up_student()
    before = datetime.now(UTC)
    chat = await asking.chats.CreateChat(
        CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_GENERAL), **asking.auth
    )
    question = AskRequest(user_id="me", chat_id=chat.chat_id, text="Why?")
    async for _ in asking.chats.Ask(question, **asking.auth):
        pass
    await studying.sessions.CreateSession(CreateSessionRequest(user_id="me"), **studying.auth)
    for person in (asking, studying):
        user = await wait_until_studied(person)
        assert user.streak_days == 1
        assert user.last_active_time.ToDatetime(UTC) >= before
