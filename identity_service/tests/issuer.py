"""A local issuer of ID tokens whose responses a test controls."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from identity_service.trusted_issuers import TrustedIssuer

CLIENT = "meno-web"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"

RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
FOREIGN = ECKey.generate_key("P-256", {"kid": "ec"})
"""A key of another issuer with the same id."""


@dataclass
class LocalIssuer:
    """An issuer that counts the requests to it."""

    url: str = ""
    keys: list[Any] = field(default_factory=lambda: [RSA, EC])
    requests: Counter[str] = field(default_factory=Counter)
    """Number of requests by path."""
    status: int = 200
    body: bytes | None = None
    """The response body, if it is not the regular one."""
    may_respond: asyncio.Event = field(default_factory=asyncio.Event)
    """Responses wait for this event. It is set at the start."""
    requested: asyncio.Event = field(default_factory=asyncio.Event)
    """Set after the first request."""

    def trusted(self, **values: Any) -> TrustedIssuer:
        return TrustedIssuer(issuer=self.url, audiences=(CLIENT, "meno-app"), **values)

    def claims(self, subject: str = "1", **claims: Any) -> dict[str, Any]:
        """Returns the claims of a valid token. A claim with the value None is omitted."""
        now = int(time.time())
        body = {"iss": self.url, "aud": CLIENT, "sub": subject, "iat": now, "exp": now + 300, **claims}
        return {name: value for name, value in body.items() if value is not None}

    def token(self, subject: str = "1", *, key: Any = EC, header: Any = None, **claims: Any) -> str:
        alg = "RS256" if key.key_type == "RSA" else "ES256"
        head = {"typ": "JWT", "alg": alg, "kid": key.kid, **(header or {})}
        body = json.dumps(self.claims(subject, **claims)).encode()
        return jws.serialize_compact(head, body, key, algorithms=[head["alg"]])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).decode().split()[1]
            self.requests[path] += 1
            self.requested.set()
            await self.may_respond.wait()
            body = self._document(path) if self.body is None else self.body
            head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(body)}\r\nlocation: {KEYS}\r\n"
            writer.write(head.encode() + b"connection: close\r\n\r\n" + body)
            await writer.drain()
        finally:
            writer.close()

    def _document(self, path: str) -> bytes:
        if path == DISCOVERY:
            return json.dumps({"issuer": self.url, "jwks_uri": self.url + KEYS}).encode()
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()


@asynccontextmanager
async def local_issuer() -> AsyncIterator[LocalIssuer]:
    """Runs an issuer on a free port."""
    issuer = LocalIssuer()
    issuer.may_respond.set()
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield issuer
    finally:
        issuer.may_respond.set()
        server.close()
        await server.wait_closed()
