"""A signed-in user, with the stubs of the services behind the gateway."""

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


class GatewayUser:
    """The tokens of a user, and the stubs of the services that users call."""

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

    @property
    def auth(self) -> dict[str, Any]:
        """Returns the call arguments that authenticate this user."""
        return {"metadata": (("authorization", f"Bearer {self.tokens.access_token}"),)}

    def refresh_request(self) -> RefreshTokensRequest:
        """Returns the request for tokens with the current rights of the user."""
        return RefreshTokensRequest(refresh_token=self.tokens.refresh_token)


def sign_up_request(name: str, role: GlobalRole.ValueType) -> SignUpRequest:
    """Returns the request for an account with a new login name and password."""
    return SignUpRequest(
        login_name=f"{name.split(maxsplit=1)[0].lower()}-{uuid.uuid4().hex[:8]}",
        display_name=name,
        password=secrets.token_urlsafe(16),
        role=role,
        request_id=str(uuid.uuid4()),
    )
