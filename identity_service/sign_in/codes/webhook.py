"""Hands codes to a service of the operator's, such as a gateway for SMS."""

import hashlib
import hmac
import json

from identity_service.settings import Settings
from identity_service.sign_in.codes.letters import Letter

SIGNATURE = "meno-signature"
"""The header that proves where a code comes from: `sha256=` and the hex HMAC of the body."""

_TIMEOUT = 10.0


class WebhookSender:
    """Posts each code as JSON: `{kind, address, code, expire_time}`. Any status of 2xx is a success."""

    reaches = frozenset({"EMAIL", "PHONE"})

    def __init__(self, settings: Settings) -> None:
        import httpx2

        assert settings.code_webhook_secret is not None
        self._url = settings.code_webhook_url
        self._secret = settings.code_webhook_secret.get_secret_value().encode()
        self._client = httpx2.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)

    async def send(self, letter: Letter) -> None:
        """Posts one code. Raises httpx2.HTTPError."""
        body = json.dumps(
            {
                "kind": letter.kind,
                "address": letter.address,
                "code": letter.code,
                "expire_time": letter.expires_at.isoformat(),
            }
        ).encode()
        headers = {"content-type": "application/json", SIGNATURE: signature(self._secret, body)}
        response = await self._client.post(self._url, content=body, headers=headers)
        response.raise_for_status()

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def signature(secret: bytes, body: bytes) -> str:
    """What the header holds for a body."""
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"
