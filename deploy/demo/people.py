"""Those who take part: stubs to the gateway that speak for one person."""

import secrets
import uuid
from typing import Any

import grpc

from deploy.demo.record import Record
from meno.access.v1.access_pb2 import GlobalRole
from meno.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from meno.content.v1.content_service_pb2_grpc import ContentServiceStub
from meno.content.v1.material_service_pb2_grpc import MaterialServiceStub
from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest, SignUpRequest, Tokens
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from meno.identity.v1.class_service_pb2_grpc import ClassServiceStub
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from meno.session.v1.event_service_pb2_grpc import EventServiceStub
from meno.session.v1.session_service_pb2_grpc import SessionServiceStub


class Person:
    """Somebody who is signed in."""

    def __init__(self, channel: grpc.aio.Channel, record: Record, tokens: Tokens) -> None:
        self.tokens = tokens
        self.record = record
        self.sign_in = AuthServiceStub(channel)
        self.users = UserServiceStub(channel)
        self.classes = ClassServiceStub(channel)
        self.contents = ContentServiceStub(channel)
        self.materials = MaterialServiceStub(channel)
        self.sessions = SessionServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.chats = ChatServiceStub(channel)

    @classmethod
    async def sign_up(
        cls, channel: grpc.aio.Channel, record: Record, name: str, role: GlobalRole.ValueType
    ) -> "Person":
        """A newcomer, under a login name that nobody had before."""
        request = SignUpRequest(
            login_name=f"{name.split(maxsplit=1)[0].lower()}-{uuid.uuid4().hex[:8]}",
            display_name=name,
            password=secrets.token_urlsafe(16),
            role=role,
            request_id=str(uuid.uuid4()),
        )
        tokens = await record.call(AuthServiceStub(channel).SignUp, request)
        return cls(channel, record, tokens)

    @property
    def auth(self) -> dict[str, Any]:
        """Arguments that make a call this person's."""
        return {"metadata": (("authorization", f"Bearer {self.tokens.access_token}"),)}

    async def refresh(self) -> None:
        """Fetches a token with the rights that the person has now."""
        request = RefreshTokensRequest(refresh_token=self.tokens.refresh_token)
        self.tokens = await self.record.call(self.sign_in.RefreshTokens, request)
