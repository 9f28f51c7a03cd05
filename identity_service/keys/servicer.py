"""KeySetService."""

import json

from google.api.httpbody_pb2 import HttpBody

from chassis.calls import Context
from identity_service.keys.issuer import Issuer
from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest
from meno.access.v1.key_set_service_pb2_grpc import KeySetServiceServicer


class KeySetServicer(KeySetServiceServicer):
    """Publishes the keys."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    async def GetJsonWebKeys(self, request: GetJsonWebKeysRequest, context: Context) -> HttpBody:
        keys = json.dumps(await self._issuer.key_set(), separators=(",", ":"))
        return HttpBody(content_type="application/jwk-set+json", data=keys.encode())
