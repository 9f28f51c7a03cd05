"""Builds valid and manipulated tokens for attacks."""

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
    """A value that stands for a missing name."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()
HEADER: Mapping[str, Any] = {"alg": tokens.ALGORITHM, "typ": tokens.TYPE, "kid": "test"}
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the group of P-256."""

Sign = Callable[[bytes], bytes]


class TokenFactory:
    """Signs arbitrary tokens with the key of the issuer, or with foreign keys."""

    def __init__(self, issuer: FakeTokenIssuer) -> None:
        self.key: Any = issuer.key.private_key
        self.published: Mapping[str, Any] = issuer.key_set()["keys"][0]
        self.foreign = ec.generate_private_key(ec.SECP256R1())
        self.user_id = str(uuid.uuid4())

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Returns valid claims with changes. ABSENT removes a claim."""
        now = int(time.time())
        complete = {
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
        return {name: value for name, value in complete.items() if value is not ABSENT}

    def token(
        self, *, header: Any = HEADER, claims: Any = None, sign: Sign | None = None, **changed: Any
    ) -> str:
        """Returns a token. Its parts are values, or raw bytes. It is signed by the issuer unless `sign` is set."""
        payload = self.claims(**changed) if claims is None else claims
        signed = f"{encoded(header)}.{encoded(payload)}"
        return f"{signed}.{base64url((sign or self.sign)(signed.encode()))}"

    def with_header(self, sign: Sign | None = None, **parameters: Any) -> str:
        """Returns a token with changed header parameters."""
        changed = {**HEADER, **parameters}
        return self.token(
            header={name: value for name, value in changed.items() if value is not ABSENT}, sign=sign
        )

    def sign(self, signed: bytes) -> bytes:
        """Signs like the issuer: r and s concatenated."""
        return pair(*signature(self.key, signed))

    def sign_foreign(self, signed: bytes) -> bytes:
        """Signs with a key that the issuer does not publish."""
        return pair(*signature(self.foreign, signed))

    def foreign_jwk(self) -> dict[str, str]:
        """Returns the public part of the foreign key under the key id of the issuer."""
        numbers = self.foreign.public_key().public_numbers()
        x, y = (base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "kid": "test", "x": x, "y": y}

    def with_hmac(self, algorithm: str, form: str) -> str:
        """Returns a token with an HMAC whose secret is the public key in one of its forms."""
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
        return self.with_header(lambda signed: hmac.digest(secret, signed, digest), alg=algorithm)

    def with_exp(self, number: str) -> str:
        """Returns a token whose expiry is the given JSON number, which Python may not support."""
        text = json.dumps(self.claims(exp="here")).replace('"here"', number)
        return self.token(claims=text.encode())

    def sized(self, size: int) -> str:
        """Returns a valid token of the given size in bytes. Raises AssertionError if there is none."""
        padded = self.claims(fill="")
        missing = size - len(self.token(claims=padded))
        for length in range(max(0, missing * 3 // 4 - 8), missing):
            token = self.token(claims={**padded, "fill": "x" * length})
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
    """Returns a function that signs with a new key of the given curve."""
    key = ec.generate_private_key(curve)
    return lambda signed: pair(*decode_dss_signature(key.sign(signed, ec.ECDSA(hashed))), size)


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encoded(part: Any) -> str:
    return base64url(part if isinstance(part, bytes) else json.dumps(part).encode())
