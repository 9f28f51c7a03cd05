"""Step four: requests without the necessary rights are rejected."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import grpc
from rich.console import Console

from deploy.demo.user import User
from meno.chat.v1.chat_service_pb2 import GetChatRequest, ListMessagesRequest
from meno.chat.v1.resources_pb2 import Chat
from meno.content.v1.content_service_pb2 import ListContentsRequest
from meno.identity.v1.class_service_pb2 import RemoveMembershipRequest
from meno.session.v1.event_service_pb2 import ListEventsRequest
from meno.session.v1.resources_pb2 import Session
from meno.session.v1.session_service_pb2 import GetSessionRequest
from meno.session.v1.session_service_pb2_grpc import SessionServiceStub

_DENIED = "PERMISSION_DENIED"


@dataclass(frozen=True)
class AttackTarget:
    """The resources of the student, which nobody else may read."""

    owner: User
    session: Session
    chat: Chat
    url: str
    """URL of the gateway."""
    service_port: int
    """Port of session_service, which only the gateway may call."""


async def check_isolation(target: AttackTarget, other: User, console: Console) -> None:
    """Checks that each forbidden request is rejected. Raises ExpectationFailed if one is not."""
    owner_id, recorder = target.owner.tokens.user.user_id, other.recorder
    session: dict[str, Any] = {"user_id": owner_id, "session_id": target.session.session_id}
    chat: dict[str, Any] = {"user_id": owner_id, "chat_id": target.chat.chat_id}
    session_path = f"/v1/users/{owner_id}/sessions/{target.session.session_id}"
    chat_path = f"/v1/users/{owner_id}/chats/{target.chat.chat_id}"
    attempts: list[tuple[str, Awaitable[Any], str]] = [
        (
            "session of another",
            other.sessions.GetSession(GetSessionRequest(**session), **other.auth),
            session_path,
        ),
        (
            "events of another",
            other.events.ListEvents(ListEventsRequest(**session), **other.auth),
            f"{session_path}/events",
        ),
        ("chat of another", other.chats.GetChat(GetChatRequest(**chat), **other.auth), chat_path),
        (
            "messages of another",
            other.chats.ListMessages(ListMessagesRequest(**chat), **other.auth),
            f"{chat_path}/messages",
        ),
    ]
    for name, call, path in attempts:
        by_grpc = await recorder.expect_rejection(name, call, _DENIED)
        by_json = await recorder.expect_json_rejection(
            name, target.url + path, other.tokens.access_token, 403
        )
        console.print(f"  {name:<20} {by_grpc} · {by_json}")
    forged = _forge_signature(target.owner.tokens.access_token)
    by_json = await recorder.expect_json_rejection("forged token", target.url + session_path, forged, 401)
    console.print(f"  {'forged token':<20} {by_json}")
    console.print(f"  {'service port':<20} {await _call_service_directly(target)}")


async def check_removed_member(teacher: User, removed: User, class_id: str, console: Console) -> None:
    """Checks that the token of a removed member is rejected before it expires.

    Raises ExpectationFailed if the token is still accepted after a minute.
    """
    request = RemoveMembershipRequest(class_id=class_id, user_id=removed.tokens.user.user_id)
    await teacher.recorder.call(teacher.classes.RemoveMembership, request, **teacher.auth)
    listing = ListContentsRequest(class_id=class_id)
    outcome = await removed.recorder.expect_eventual_rejection(
        "removed member", lambda: removed.contents.ListContents(listing, **removed.auth), "UNAUTHENTICATED"
    )
    console.print(f"  {'removed member':<20} {outcome}")


async def _call_service_directly(target: AttackTarget) -> str:
    """Calls a service directly, with a valid token but without a client certificate. Returns the outcome."""
    request = GetSessionRequest(user_id="me", session_id=target.session.session_id)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{target.service_port}") as channel:
        call = SessionServiceStub(channel).GetSession(request, timeout=5, **target.owner.auth)
        return await target.owner.recorder.expect_rejection(
            "service port", call, "UNAVAILABLE", "DEADLINE_EXCEEDED"
        )


def _forge_signature(token: str) -> str:
    """Returns the token with a wrong signature of the same length."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{signature[::-1]}"
