"""Sends codes to an HTTP service of the operator, such as an SMS gateway."""

import hashlib
import hmac
import json

from identity_service.settings import Settings
from identity_service.sign_in.codes.types import CodeMessage

SIGNATURE_HEADER = "meno-signature"
"""The header that authenticates the request: `sha256=` and the hexadecimal HMAC of the body."""

_TIMEOUT_SECONDS = 10.0


class WebhookSender:
    """Posts each code as JSON: `{kind, address, code, expire_time}`. Each 2xx status is a success."""

    reaches = frozenset({"EMAIL", "PHONE"})

    def __init__(self, settings: Settings) -> None:
        import httpx2

        assert settings.code_webhook_secret is not None
        self._url = settings.code_webhook_url
        self._secret = settings.code_webhook_secret.get_secret_value().encode()
        self._client = httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, follow_redirects=False)

    async def send(self, message: CodeMessage) -> None:
        """Posts one code. Raises httpx2.HTTPError."""
        body = json.dumps(
            {
                "kind": message.kind,
                "address": message.address,
                "code": message.code,
                "expire_time": message.expires_at.isoformat(),
            }
        ).encode()
        headers = {"content-type": "application/json", SIGNATURE_HEADER: sign(self._secret, body)}
        response = await self._client.post(self._url, content=body, headers=headers)
        response.raise_for_status()

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def sign(secret: bytes, body: bytes) -> str:
    """Returns the value of SIGNATURE_HEADER for a body."""
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"
