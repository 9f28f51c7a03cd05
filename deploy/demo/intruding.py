"""Act four: everybody who does not belong is refused."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import grpc
from rich.console import Console

from deploy.demo.people import Person
from meno.chat.v1.chat_service_pb2 import Chat, GetChatRequest, ListMessagesRequest
from meno.content.v1.content_service_pb2 import ListContentsRequest
from meno.identity.v1.class_service_pb2 import RemoveMembershipRequest
from meno.session.v1.event_service_pb2 import ListEventsRequest
from meno.session.v1.session_service_pb2 import GetSessionRequest, Session
from meno.session.v1.session_service_pb2_grpc import SessionServiceStub

_DENIED = "PERMISSION_DENIED"


@dataclass(frozen=True)
class House:
    """What there is to break into."""

    owner: Person
    session: Session
    chat: Chat
    url: str
    """Of the gateway."""
    service_port: int
    """Of session_service itself."""


async def intrude(house: House, other: Person, console: Console) -> None:
    """Tries every wrong door that the lesson has."""
    owner_id, record = house.owner.tokens.user.user_id, other.record
    session: dict[str, Any] = {"user_id": owner_id, "session_id": house.session.session_id}
    chat: dict[str, Any] = {"user_id": owner_id, "chat_id": house.chat.chat_id}
    session_path = f"/v1/users/{owner_id}/sessions/{house.session.session_id}"
    chat_path = f"/v1/users/{owner_id}/chats/{house.chat.chat_id}"
    doors: list[tuple[str, Awaitable[Any], str]] = [
        (
            "another's session",
            other.sessions.GetSession(GetSessionRequest(**session), **other.auth),
            session_path,
        ),
        (
            "another's events",
            other.events.ListEvents(ListEventsRequest(**session), **other.auth),
            f"{session_path}/events",
        ),
        ("another's chat", other.chats.GetChat(GetChatRequest(**chat), **other.auth), chat_path),
        (
            "another's messages",
            other.chats.ListMessages(ListMessagesRequest(**chat), **other.auth),
            f"{chat_path}/messages",
        ),
    ]
    for what, call, path in doors:
        by_grpc = await record.refused(what, call, _DENIED)
        by_json = await record.refused_json(what, house.url + path, other.tokens.access_token, 403)
        console.print(f"  {what:<20} {by_grpc} · {by_json}")
    forged = _forge(house.owner.tokens.access_token)
    by_json = await record.refused_json("a forged token", house.url + session_path, forged, 401)
    console.print(f"  {'a forged token':<20} {by_json}")
    console.print(f"  {'a service’s own port':<20} {await _knock(house)}")


async def outstay(teacher: Person, removed: Person, class_id: str, console: Console) -> None:
    """Goes on with the token of a member who is removed, which says for minutes that they are one."""
    request = RemoveMembershipRequest(class_id=class_id, user_id=removed.tokens.user.user_id)
    await teacher.record.call(teacher.classes.RemoveMembership, request, **teacher.auth)
    look = ListContentsRequest(class_id=class_id)
    refusal = await removed.record.refused_soon(
        "a removed member", lambda: removed.contents.ListContents(look, **removed.auth), "UNAUTHENTICATED"
    )
    console.print(f"  {'a removed member':<20} {refusal}")


async def _knock(house: House) -> str:
    """Calls a service past the gateway: with a good token, and without a certificate of the house."""
    request = GetSessionRequest(user_id="me", session_id=house.session.session_id)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.service_port}") as channel:
        call = SessionServiceStub(channel).GetSession(request, timeout=5, **house.owner.auth)
        return await house.owner.record.refused(
            "a service's own port", call, "UNAVAILABLE", "DEADLINE_EXCEEDED"
        )


def _forge(token: str) -> str:
    """The token with another signature of the same length."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{signature[::-1]}"
