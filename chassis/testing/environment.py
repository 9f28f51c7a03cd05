"""The environment of a service under test: keys, certificates, account feed, and the service itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from chassis.certificates import CertificateAuthority
from chassis.identity_client import IdentityClient
from chassis.outbox import MessageHandler, OutboxMessage
from chassis.revocation import RevocationList
from chassis.security import SecurityContext
from chassis.server import App, create_server
from chassis.testing.expectations import EVENTUALLY_SECONDS
from chassis.testing.fakes import FakeAccountFeed, FakeTokenIssuer
from chassis.tls import TlsCredentials
from chassis.tokens import Tokens

SECRET = b"a secret that only the tests know"


class TestEnvironment:
    """The surroundings of a service under test."""

    __test__ = False

    def __init__(self, directory: Path) -> None:
        self.issuer = FakeTokenIssuer()
        self.feed = FakeAccountFeed()
        self.sent: list[OutboxMessage] = []
        """The outbox messages of the service under test, in order of delivery."""
        self._message_sent = asyncio.Event()
        self._authority = CertificateAuthority()
        self._directory = directory

    def credentials(self, name: str) -> TlsCredentials:
        """Returns the certificate of a service, a gateway or another peer, issued by the test CA."""
        directory = self._directory / name
        if not directory.exists():
            self._authority.issue(name, directory)
        return TlsCredentials(directory)

    @asynccontextmanager
    async def security(self) -> AsyncIterator[SecurityContext]:
        """Yields a security context that follows the fake keys and the fake account feed."""

        async def keys() -> Mapping[str, object]:
            return self.issuer.key_set()

        security = SecurityContext(Tokens(keys), RevocationList(), SECRET)
        following = asyncio.create_task(security.revocations.follow(self.feed.follow))
        await security.revocations.ready.wait()
        try:
            yield security
        finally:
            following.cancel()

    async def wait_for_outbox(self, kind: str, **body: object) -> OutboxMessage:
        """Returns the first sent message of a kind whose body contains `body`. Raises TimeoutError."""
        async with asyncio.timeout(EVENTUALLY_SECONDS):
            while True:
                for message in self.sent:
                    if message.kind == kind and body.items() <= message.body.items():
                        return message
                self._message_sent.clear()
                await self._message_sent.wait()

    @asynccontextmanager
    async def identity_client(self) -> AsyncIterator[IdentityClient]:
        """Yields a fake identity client, which records outbox messages in `self.sent`."""

        async def record(messages: Sequence[OutboxMessage]) -> None:
            self.sent += messages
            self._message_sent.set()

        async with self.security() as security:
            yield IdentityClient(security, self.feed.follow, _AnyKind(record))

    @asynccontextmanager
    async def serve(self, app: App, service: str) -> AsyncIterator["RunningService"]:
        """Serves an app over mutual TLS on a free port."""
        server = create_server(app)
        port = server.add_secure_port("127.0.0.1:0", self.credentials(service).server_credentials())
        await server.start()
        background = [asyncio.ensure_future(task()) for task in app.background]
        running = RunningService(self, service, f"127.0.0.1:{port}")
        try:
            yield running
        finally:
            await running.close()
            await server.stop(None)
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)


class RunningService:
    """A running service and channels to it."""

    def __init__(self, env: TestEnvironment, service: str, address: str) -> None:
        self.address = address
        self._env = env
        self._service = service
        self._channels: dict[str, grpc.aio.Channel] = {}

    def channel(self, peer: str = "gateway") -> grpc.aio.Channel:
        """Returns a channel that presents the certificate of `peer`."""
        if peer not in self._channels:
            credentials = self._env.credentials(peer).channel_credentials()
            options = (
                ("grpc.ssl_target_name_override", self._service),
                ("grpc.max_metadata_size", 32 * 1024),
            )
            self._channels[peer] = grpc.aio.secure_channel(self.address, credentials, options)
        return self._channels[peer]

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            await channel.close()


class _AnyKind(dict[str, MessageHandler]):
    """Maps every kind to the same handler."""

    def __init__(self, handler: MessageHandler) -> None:
        super().__init__()
        self._handler = handler

    def __missing__(self, kind: str) -> MessageHandler:
        return self._handler
