"""A user of the demo, whose calls are recorded."""

import grpc

from deploy.demo.recorder import Recorder
from deploy.gateway.user import GatewayUser, sign_up_request
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from meno.identity.v1.resources_pb2 import Tokens


class User(GatewayUser):
    """A signed-in user, whose calls are recorded."""

    def __init__(self, channel: grpc.aio.Channel, recorder: Recorder, tokens: Tokens) -> None:
        super().__init__(channel, tokens)
        self.recorder = recorder

    @classmethod
    async def sign_up(
        cls, channel: grpc.aio.Channel, recorder: Recorder, name: str, role: GlobalRole.ValueType
    ) -> "User":
        """Creates an account with a new login name, and returns its user."""
        tokens = await recorder.call(AuthServiceStub(channel).SignUp, sign_up_request(name, role))
        return cls(channel, recorder, tokens)

    async def refresh(self) -> None:
        """Replaces the access token by one with the current rights of the user."""
        self.tokens = await self.recorder.call(self.sign_in.RefreshTokens, self.refresh_request())
