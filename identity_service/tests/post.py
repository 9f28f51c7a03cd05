"""A sender of codes that keeps them, named in a setting as an operator's own is."""

import asyncio
from typing import ClassVar

from identity_service.settings import Settings
from identity_service.sign_in.codes.letters import Letter
from identity_service.tests.conftest import Identity
from meno.identity.v1.auth_service_pb2 import RequestOneTimeCodeRequest

POST = {"code_sender": "identity_service.tests.post:Post"}

_SOON = 10


class Post:
    """Where codes arrive."""

    reaches = frozenset({"EMAIL", "PHONE"})
    last: ClassVar["Post"]

    def __init__(self, settings: Settings) -> None:
        self.letters: asyncio.Queue[Letter] = asyncio.Queue()
        Post.last = self

    async def send(self, letter: Letter) -> None:
        await self.letters.put(letter)

    async def close(self) -> None:
        """Nothing is open."""


async def next_letter() -> Letter:
    """What arrives next."""
    async with asyncio.timeout(_SOON):
        return await Post.last.letters.get()


async def code_for(identity: Identity, address: str) -> str:
    """Requests a code and waits until it arrives."""
    await identity.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address=address))
    letter = await next_letter()
    assert letter.address == address
    return letter.code


def wrong(code: str) -> str:
    """Another code."""
    return f"{(int(code) + 1) % 1_000_000:06}"
