"""KeySetService."""

import json
from typing import Any

from google.api.httpbody_pb2 import HttpBody

from chassis import tokens
from chassis.calls import Context
from identity_service.sign_in.keys.signer import TokenSigner
from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest, GetOpenIdConfigurationRequest
from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceServicer

_CLAIMS = ["iss", "aud", "exp", "iat", "jti", "sub", "role", "guest", "classes", "archived", "sid", "rv"]


class KeySetServicer(KeySetServiceServicer):
    """Publishes the signing keys and the OpenID configuration."""

    def __init__(self, signer: TokenSigner, public_url: str) -> None:
        self._signer = signer
        self._public_url = public_url.rstrip("/")

    async def GetJsonWebKeys(self, request: GetJsonWebKeysRequest, context: Context) -> HttpBody:
        return _to_body("application/jwk-set+json", await self._signer.key_set())

    async def GetOpenIdConfiguration(
        self, request: GetOpenIdConfigurationRequest, context: Context
    ) -> HttpBody:
        # Empty lists are omitted (OpenID Connect Discovery 1.0, section 4.2).
        configuration = {
            "issuer": tokens.ISSUER,
            "jwks_uri": f"{self._public_url}/.well-known/jwks.json",
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [tokens.ALGORITHM],
            "claims_supported": _CLAIMS,
        }
        return _to_body("application/json", configuration)


def _to_body(content_type: str, document: Any) -> HttpBody:
    return HttpBody(content_type=content_type, data=json.dumps(document, separators=(",", ":")).encode())
