"""Test users: signed-in users of the installation under test."""

import grpc

from deploy.gateway.user import GatewayUser, sign_up_request
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub

_TIMEOUT_SECONDS = 60.0


class Person(GatewayUser):
    """A signed-in user of the installation under test."""

    @classmethod
    async def sign_up(cls, channel: grpc.aio.Channel, name: str, role: GlobalRole.ValueType) -> "Person":
        """Creates an account with a new login name and returns its signed-in user."""
        request = sign_up_request(name, role)
        return cls(channel, await AuthServiceStub(channel).SignUp(request, timeout=_TIMEOUT_SECONDS))

    async def refresh(self) -> None:
        """Replaces the access token by one with the current rights of the user."""
        self.tokens = await self.sign_in.RefreshTokens(self.refresh_request(), timeout=_TIMEOUT_SECONDS)
