"""A sender of one-time codes that stores them, and is configured like the sender of an operator."""

import asyncio
from typing import ClassVar

from identity_service.settings import Settings
from identity_service.sign_in.codes.types import CodeMessage
from identity_service.tests.conftest import Identity
from meno.identity.v1.auth_service_pb2 import RedeemOneTimeCodeRequest, RequestOneTimeCodeRequest
from meno.identity.v1.resources_pb2 import Tokens

SETTINGS = {"code_sender": "identity_service.tests.code_inbox:CodeInbox"}

ADA = "ada@example.org"

_TIMEOUT_SECONDS = 60


class CodeInbox:
    """Receives codes."""

    reaches = frozenset({"EMAIL", "PHONE"})
    last: ClassVar["CodeInbox"]

    def __init__(self, settings: Settings) -> None:
        self.messages: asyncio.Queue[CodeMessage] = asyncio.Queue()
        CodeInbox.last = self

    async def send(self, message: CodeMessage) -> None:
        await self.messages.put(message)

    async def close(self) -> None:
        """Has no connections."""


async def next_message() -> CodeMessage:
    """Waits for the next code."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        return await CodeInbox.last.messages.get()


async def request_code(identity: Identity, address: str) -> str:
    """Requests a code and waits for it."""
    await identity.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address=address))
    message = await next_message()
    assert message.address == address
    return message.code


async def redeem(identity: Identity, code: str, address: str = ADA, **values: str) -> Tokens:
    request = RedeemOneTimeCodeRequest(address=address, code=code, **values)
    return await identity.auth.RedeemOneTimeCode(request)


async def sign_in_by_code(identity: Identity, address: str) -> Tokens:
    """Requests a code and signs in with it."""
    return await redeem(identity, await request_code(identity, address), address)


def wrong_code(code: str) -> str:
    """Returns another code."""
    return f"{(int(code) + 1) % 1_000_000:06}"
