"""Tokens as an enemy writes them: every part of one by hand, or as the house would write it."""

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from chassis import tokens
from chassis.testing import FakeTokenIssuer


class Absent:
    """In place of a value: no such name at all."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()
HEADER: Mapping[str, Any] = {"alg": tokens.ALGORITHM, "typ": tokens.TYPE, "kid": "test"}
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""

Sign = Callable[[bytes], bytes]


class Forge:
    """Has the house's key, to sign what the house would never write, and keys that are not the house's."""

    def __init__(self, issuer: FakeTokenIssuer) -> None:
        self.key: Any = issuer.key.private_key
        self.published: Mapping[str, Any] = issuer.key_set()["keys"][0]
        self.foreign = ec.generate_private_key(ec.SECP256R1())
        self.user_id = str(uuid.uuid4())

    def claims(self, **claims: Any) -> dict[str, Any]:
        """What a token says, with some of it otherwise, or ABSENT."""
        now = int(time.time())
        whole = {
            "iss": tokens.ISSUER,
            "aud": tokens.AUDIENCE,
            "iat": now,
            "exp": now + 300,
            "jti": uuid.uuid4().hex,
            "sub": self.user_id,
            "role": "STUDENT",
            "classes": {},
            "sid": str(uuid.uuid4()),
            "rv": 0,
            **claims,
        }
        return {name: value for name, value in whole.items() if value is not ABSENT}

    def token(
        self, *, header: Any = HEADER, claims: Any = None, sign: Sign | None = None, **changed: Any
    ) -> str:
        """A token whose parts are values, or bytes as they are; signed by the house unless told."""
        payload = self.claims(**changed) if claims is None else claims
        signed = f"{encoded(header)}.{encoded(payload)}"
        return f"{signed}.{base64url((sign or self.sign)(signed.encode()))}"

    def under(self, sign: Sign | None = None, **parameters: Any) -> str:
        """A token with another header."""
        changed = {**HEADER, **parameters}
        return self.token(
            header={name: value for name, value in changed.items() if value is not ABSENT}, sign=sign
        )

    def sign(self, signed: bytes) -> bytes:
        """As the house does: r and s beside each other."""
        return pair(*signature(self.key, signed))

    def sign_foreign(self, signed: bytes) -> bytes:
        """With a key that the house has never seen."""
        return pair(*signature(self.foreign, signed))

    def foreign_jwk(self) -> dict[str, str]:
        """The public half of that key, under the id of the house's."""
        numbers = self.foreign.public_key().public_numbers()
        x, y = (base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "kid": "test", "x": x, "y": y}

    def sealed(self, algorithm: str, form: str) -> str:
        """A token whose HMAC takes the public key, in one of its forms, for the secret."""
        public = self.key.public_key()
        secret = {
            "pem": public.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "der": public.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "jwk": json.dumps(self.published).encode(),
            "x": self.published["x"].encode(),
            "empty": b"",
        }[form]
        digest = f"sha{algorithm[2:]}"
        return self.under(lambda signed: hmac.digest(secret, signed, digest), alg=algorithm)

    def with_exp(self, number: str) -> str:
        """A token whose end is spelled like this, which no value of Python is."""
        text = json.dumps(self.claims(exp="here")).replace('"here"', number)
        return self.token(claims=text.encode())

    def sized(self, size: int) -> str:
        """A good token of just so many bytes, but for what fills it."""
        grown = self.claims(fill="")
        missing = size - len(self.token(claims=grown))
        for length in range(max(0, missing * 3 // 4 - 8), missing):
            token = self.token(claims={**grown, "fill": "x" * length})
            if len(token) >= size:
                return token
        raise AssertionError(f"there is no token of {size} bytes")


def signature(key: Any, signed: bytes) -> tuple[int, int]:
    return decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))


def pair(r: int, s: int, size: int = 32) -> bytes:
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def rsa_signature(signed: bytes) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def curve_signature(curve: ec.EllipticCurve, size: int, hashed: hashes.HashAlgorithm) -> Sign:
    """Signs with a new key of another curve."""
    key = ec.generate_private_key(curve)
    return lambda signed: pair(*decode_dss_signature(key.sign(signed, ec.ECDSA(hashed))), size)


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encoded(part: Any) -> str:
    return base64url(part if isinstance(part, bytes) else json.dumps(part).encode())
