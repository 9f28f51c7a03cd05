"""Test users: a signed-in user with stubs for every service behind the gateway."""

import secrets
import uuid
from typing import Any

import grpc

from meno.access.v1.access_pb2 import GlobalRole
from meno.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from meno.content.v1.content_service_pb2_grpc import ContentServiceStub
from meno.content.v1.material_service_pb2_grpc import MaterialServiceStub
from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest, SignUpRequest
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from meno.identity.v1.class_service_pb2_grpc import ClassServiceStub
from meno.identity.v1.resources_pb2 import Tokens
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from meno.session.v1.event_service_pb2_grpc import EventServiceStub
from meno.session.v1.session_service_pb2_grpc import SessionServiceStub

_TIMEOUT_SECONDS = 60.0


class Person:
    """A signed-in user of the installation under test."""

    def __init__(self, channel: grpc.aio.Channel, tokens: Tokens) -> None:
        self.tokens = tokens
        self.sign_in = AuthServiceStub(channel)
        self.users = UserServiceStub(channel)
        self.classes = ClassServiceStub(channel)
        self.contents = ContentServiceStub(channel)
        self.materials = MaterialServiceStub(channel)
        self.sessions = SessionServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.chats = ChatServiceStub(channel)

    @classmethod
    async def sign_up(cls, channel: grpc.aio.Channel, name: str, role: GlobalRole.ValueType) -> "Person":
        """Creates an account with a new login name and returns its signed-in user."""
        request = SignUpRequest(
            login_name=f"{name.split(maxsplit=1)[0].lower()}-{uuid.uuid4().hex[:8]}",
            display_name=name,
            password=secrets.token_urlsafe(16),
            role=role,
            request_id=str(uuid.uuid4()),
        )
        tokens = await AuthServiceStub(channel).SignUp(request, timeout=_TIMEOUT_SECONDS)
        return cls(channel, tokens)

    @property
    def auth(self) -> dict[str, Any]:
        """Returns the call arguments that authenticate this user."""
        return {"metadata": (("authorization", f"Bearer {self.tokens.access_token}"),)}

    async def refresh(self) -> None:
        """Replaces the access token by one with the current rights of the user."""
        request = RefreshTokensRequest(refresh_token=self.tokens.refresh_token)
        self.tokens = await self.sign_in.RefreshTokens(request, timeout=_TIMEOUT_SECONDS)
