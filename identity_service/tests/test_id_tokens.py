"""Verification of ID tokens, against a real issuer and without a database."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import ValidationError

from chassis.errors import DomainError
from chassis.tokens import CLOCK_SKEW
from identity_service.sign_in.identifiers.types import ExternalIdentity
from identity_service.sign_in.issuers.fetcher import MAX_BYTES
from identity_service.sign_in.issuers.keys import MAX_AGE_SECONDS, MIN_FETCH_INTERVAL_SECONDS, IssuerKeys
from identity_service.sign_in.issuers.verifier import MAX_CHARACTERS, IdTokenVerifier
from identity_service.tests.issuer import CLIENT, DISCOVERY, EC, FOREIGN, KEYS, RSA, LocalIssuer, local_issuer
from identity_service.trusted_issuers import TrustedIssuer

NEXT = ECKey.generate_key("P-256", {"kid": "next"})


@pytest_asyncio.fixture
async def verifier(issuer: LocalIssuer) -> AsyncIterator[IdTokenVerifier]:
    created = IdTokenVerifier([issuer.trusted()])
    yield created
    await created.close()


@pytest_asyncio.fixture(scope="module")
async def shared_issuer() -> AsyncIterator[LocalIssuer]:
    """An issuer for all tests of the module."""
    async with local_issuer() as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def shared_verifier(shared_issuer: LocalIssuer) -> AsyncIterator[IdTokenVerifier]:
    created = IdTokenVerifier([shared_issuer.trusted()])
    await created.verify(shared_issuer.token(), "")
    yield created
    await created.close()


async def error_cause(verifier: IdTokenVerifier, token: str, nonce: str = "") -> str:
    """Returns the cause of an invalid token, the reason of another error, or an empty string."""
    try:
        await verifier.verify(token, nonce)
    except DomainError as error:
        return error.metadata.get("cause", error.reason)
    return ""


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(issuer: LocalIssuer, header: dict[str, Any]) -> str:
    return f"{encoded(header)}.{encoded(issuer.claims())}."


def with_hmac_of_public_key(issuer: LocalIssuer) -> str:
    """Returns a token that is signed with the public key as an HMAC secret."""
    signed = f"{encoded({'alg': 'HS256', 'kid': 'rsa'})}.{encoded(issuer.claims())}"
    secret = RSA.as_pem(private=False)
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def with_embedded_key(issuer: LocalIssuer) -> str:
    own = ECKey.generate_key("P-256", {"kid": "own"})
    header = {"alg": "ES256", "jwk": own.as_dict(private=False)}
    return jwt.encode({**header, "kid": "own"}, issuer.claims(), own)


def with_changed_claims(issuer: LocalIssuer) -> str:
    head, _, signature = issuer.token().split(".")
    return f"{head}.{encoded(issuer.claims('2'))}.{signature}"


ATTACKS: dict[str, tuple[Any, str]] = {
    "no signature": (lambda i: unsigned(i, {"alg": "none"}), "ALGORITHM"),
    "no signature, but a key id": (lambda i: unsigned(i, {"alg": "ES256", "kid": "ec"}), "SIGNATURE"),
    "no algorithm": (lambda i: unsigned(i, {"kid": "ec"}), "MALFORMED"),
    "an algorithm that is not a string": (lambda i: unsigned(i, {"alg": ["ES256"]}), "ALGORITHM"),
    "a public key as HMAC secret": (with_hmac_of_public_key, "ALGORITHM"),
    "an algorithm that is not allowed": (
        lambda i: i.token(key=RSA, header={"alg": "RS512"}),
        "ALGORITHM",
    ),
    "an unknown issuer": (lambda i: i.token(iss="https://issuer.example"), "ISSUER_UNKNOWN"),
    "an issuer with another spelling": (lambda i: i.token(iss=i.url + "/"), "ISSUER_UNKNOWN"),
    "an issuer that is not a string": (lambda i: i.token(iss=[i.url]), "ISSUER_UNKNOWN"),
    "no issuer": (lambda i: i.token(iss=None), "MALFORMED"),
    "another audience": (lambda i: i.token(aud="another"), "AUDIENCE"),
    "no audience": (lambda i: i.token(aud=None), "AUDIENCE"),
    "an audience that is not a string": (lambda i: i.token(aud={CLIENT: True}), "AUDIENCE"),
    "another authorized party": (lambda i: i.token(aud=[CLIENT, "x"], azp="x"), "AUDIENCE"),
    "no authorized party": (lambda i: i.token(aud=[CLIENT, "x"]), "AUDIENCE"),
    "expired": (lambda i: i.token(exp=time.time() - 60), "EXPIRED"),
    "no expiry": (lambda i: i.token(exp=None), "EXPIRED"),
    "an expiry that is NaN": (lambda i: i.token(exp=float("nan")), "MALFORMED"),
    "an expiry that is a boolean": (lambda i: i.token(exp=True), "MALFORMED"),
    "an expiry that exceeds a float": (lambda i: i.token(exp=10**400), "MALFORMED"),
    "not yet valid": (lambda i: i.token(nbf=time.time() + 60), "NOT_YET_VALID"),
    "issued in the future": (lambda i: i.token(iat=time.time() + 86_400), "NOT_YET_VALID"),
    "a foreign key": (lambda i: i.token(key=FOREIGN), "SIGNATURE"),
    "a key of another kind": (lambda i: i.token(key=FOREIGN, header={"kid": "rsa"}), "KEY_UNKNOWN"),
    "an unknown key": (lambda i: i.token(key=NEXT), "KEY_UNKNOWN"),
    "an embedded key": (with_embedded_key, "KEY_UNKNOWN"),
    "a remote key": (
        lambda i: i.token(key=FOREIGN, header={"jku": "https://evil.example/keys"}),
        "SIGNATURE",
    ),
    "changed claims": (with_changed_claims, "SIGNATURE"),
    "an unknown critical header": (
        lambda i: f"{encoded({'alg': 'ES256', 'kid': 'ec', 'crit': ['x'], 'x': 1})}.{encoded(i.claims())}.AA",
        "SIGNATURE",
    ),
    "an access token": (lambda i: i.token(header={"typ": "at+jwt"}), "MALFORMED"),
    "no subject": (lambda i: i.token(sub=None), "SUBJECT"),
    "an empty subject": (lambda i: i.token(""), "SUBJECT"),
    "a subject that is a number": (lambda i: i.token(sub=1), "SUBJECT"),
    "a subject beyond ASCII": (lambda i: i.token("\ud800"), "SUBJECT"),
    "a subject with NUL": (lambda i: i.token("a\0b"), "SUBJECT"),
    "a subject that is too long": (lambda i: i.token("x" * 256), "SUBJECT"),
    "nonsense": (lambda i: "nonsense", "MALFORMED"),
    "dots": (lambda i: "..", "MALFORMED"),
    "characters beyond ASCII": (lambda i: "é.ü.ß", "MALFORMED"),
    "a surrogate": (lambda i: "\ud800.a.b", "MALFORMED"),
    "a list": (lambda i: f"{encoded({'alg': 'ES256'})}.{encoded([])}.AA", "MALFORMED"),
    "24 kB": (lambda i: "x" * 24_576, "MALFORMED"),
    "24 kB of brackets": (lambda i: f"{encoded({'alg': 'ES256'})}.{encoded(b'[' * 18_000)}.AA", "MALFORMED"),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_forged_or_malformed_token_is_rejected(
    shared_issuer: LocalIssuer, shared_verifier: IdTokenVerifier, attack: str
) -> None:
    forge, cause = ATTACKS[attack]
    assert await error_cause(shared_verifier, forge(shared_issuer)) == cause
    assert await error_cause(shared_verifier, shared_issuer.token()) == ""


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES256", "RS256"])
async def test_a_token_of_a_trusted_issuer_contains_the_identity(
    shared_issuer: LocalIssuer, shared_verifier: IdTokenVerifier, key: Any
) -> None:
    verified = await shared_verifier.verify(
        shared_issuer.token("Abc|1", key=key, name=" Ada\x00 Lovelace "), ""
    )
    assert verified.identity == ExternalIdentity(shared_issuer.url, "Abc|1")
    assert (verified.name, verified.addresses) == ("Ada Lovelace", ())


ACCEPTED: dict[str, Any] = {
    "several audiences": lambda i: i.token(aud=["x", "meno-app"], azp=CLIENT),
    "a list of one": lambda i: i.token(aud=[CLIENT]),
    "issued to another client of the same operator": lambda i: i.token(azp="the app"),
    "no nbf and no iat": lambda i: i.token(nbf=None, iat=None),
    "expired within the clock skew": lambda i: i.token(exp=time.time() - CLOCK_SKEW.total_seconds() / 2),
    "valid after the clock skew": lambda i: i.token(nbf=time.time() + CLOCK_SKEW.total_seconds()),
    "no type": lambda i: jwt.encode({"alg": "ES256", "kid": "ec"}, i.claims(), EC, default_type=None),
    "optional claims of other types": lambda i: i.token(name=7, email=["x"], email_verified=True),
}


@pytest.mark.parametrize("token", ACCEPTED.values(), ids=ACCEPTED)
async def test_differences_between_issuers_are_accepted(
    shared_issuer: LocalIssuer, shared_verifier: IdTokenVerifier, token: Any
) -> None:
    assert await error_cause(shared_verifier, token(shared_issuer)) == ""


@pytest.mark.parametrize(
    ("nonce", "claim", "cause"),
    [
        ("", None, ""),
        ("", "n", ""),
        ("n", "n", ""),
        ("n", "m", "NONCE"),
        ("n", None, "NONCE"),
        ("7", 7, "NONCE"),
    ],
)
async def test_the_nonce_must_be_that_of_the_request(
    shared_issuer: LocalIssuer, shared_verifier: IdTokenVerifier, nonce: str, claim: Any, cause: str
) -> None:
    assert await error_cause(shared_verifier, shared_issuer.token(nonce=claim), nonce) == cause


@pytest.mark.parametrize(
    ("claims", "addresses"),
    [
        ({"email": "Ada@Example.org", "email_verified": True}, {"ada@example.org"}),
        ({"email": "ada@example.org", "email_verified": "true"}, {"ada@example.org"}),
        ({"email": "ada@example.org", "email_verified": "True"}, set()),
        ({"email": "ada@example.org", "email_verified": False}, set()),
        ({"email": "ada@example.org", "email_verified": "false"}, set()),
        ({"email": "ada@example.org", "email_verified": [1]}, set()),
        ({"email": "ada@example.org"}, set()),
        ({"email": "stra\u00dfe@example.org", "email_verified": True}, set()),
        ({"email": "\u212aate@example.org", "email_verified": True}, set()),
        ({"email": "a b@example.org", "email_verified": True}, set()),
        ({"email": "a\0@example.org", "email_verified": True}, set()),
        ({"phone_number": "+919876543210", "phone_number_verified": "true"}, {"+919876543210"}),
        ({"phone_number": "+919876543210", "email_verified": True}, set()),
        ({"phone_number": "09876543210", "phone_number_verified": True}, set()),
    ],
)
async def test_an_address_is_verified_only_if_the_issuer_confirms_it(
    shared_issuer: LocalIssuer, shared_verifier: IdTokenVerifier, claims: dict[str, Any], addresses: set[str]
) -> None:
    verified = await shared_verifier.verify(shared_issuer.token(**claims), "")
    assert {address.canonical for address in verified.addresses} == addresses


async def test_a_token_above_the_limit_is_invalid(verifier: IdTokenVerifier, issuer: LocalIssuer) -> None:
    assert await error_cause(verifier, issuer.token(padding="x" * MAX_CHARACTERS)) == "MALFORMED"
    assert await error_cause(verifier, issuer.token(padding="x" * 10_000)) == ""


async def test_keys_are_fetched_once_from_the_discovered_url(
    issuer: LocalIssuer, verifier: IdTokenVerifier
) -> None:
    await asyncio.gather(*(verifier.verify(issuer.token(key=key), "") for key in [EC, RSA] * 10))
    assert issuer.requests == {DISCOVERY: 1, KEYS: 1}


async def test_tokens_with_invented_keys_cause_no_more_requests(
    issuer: LocalIssuer, verifier: IdTokenVerifier
) -> None:
    for number in range(20):
        forged = issuer.token(key=FOREIGN, header={"kid": f"invented {number}"})
        assert await error_cause(verifier, forged) == "KEY_UNKNOWN"
    assert issuer.requests[KEYS] == 1


async def test_without_a_trusted_issuer_every_token_is_rejected(issuer: LocalIssuer) -> None:
    assert await error_cause(IdTokenVerifier([]), issuer.token()) == "ISSUER_UNKNOWN"
    assert not issuer.requests


async def test_an_unreachable_issuer_is_not_requested_for_each_token(
    issuer: LocalIssuer, verifier: IdTokenVerifier
) -> None:
    issuer.status = 503
    causes = [await error_cause(verifier, issuer.token()) for _ in range(3)]
    assert causes == ["SERVICE_UNAVAILABLE"] * 3
    assert issuer.requests == {DISCOVERY: 1}


class Clock:
    """A clock that a test controls."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TimedKeys:
    """The keys of an issuer with a controlled clock."""

    def __init__(self, issuer: LocalIssuer, verifier: IdTokenVerifier) -> None:
        self.clock = Clock()
        assert verifier._fetcher is not None
        trusted = issuer.trusted(jwks_uri=issuer.url + KEYS)
        self.keys = IssuerKeys(trusted, verifier._fetcher.fetch_json, self.clock)

    async def find(self, kid: str | None) -> str:
        """Returns the id of the key, or the reason of the error."""
        try:
            return str((await self.keys.get(kid, "ES256")).kid)
        except DomainError as error:
            return error.reason


@pytest.fixture
def timed(issuer: LocalIssuer, verifier: IdTokenVerifier) -> TimedKeys:
    return TimedKeys(issuer, verifier)


async def test_a_new_key_is_found_after_the_fetch_interval(issuer: LocalIssuer, timed: TimedKeys) -> None:
    assert await timed.find("ec") == "ec"
    issuer.keys = [NEXT]
    assert await timed.find("next") == "ID_TOKEN_INVALID"
    timed.clock.now += MIN_FETCH_INTERVAL_SECONDS
    assert await timed.find("next") == "next"
    assert await timed.find("ec") == "ID_TOKEN_INVALID"
    assert issuer.requests == {KEYS: 2}


async def test_old_keys_are_fetched_again(issuer: LocalIssuer, timed: TimedKeys) -> None:
    assert await timed.find("ec") == "ec"
    issuer.keys = [NEXT]
    timed.clock.now += MAX_AGE_SECONDS + 1
    assert await timed.find("ec") == "ID_TOKEN_INVALID"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, None),
        (302, None),
        (200, b"no JSON"),
        (200, b"[]"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": ["EC"]}, 7, {"kty": "EC"}]}'),
        (200, b"[" * MAX_BYTES + b"x"),
    ],
)
async def test_the_previous_keys_stay_valid_if_a_fetch_fails(
    issuer: LocalIssuer, timed: TimedKeys, status: int, body: bytes | None
) -> None:
    assert await timed.find("ec") == "ec"
    issuer.status, issuer.body = status, body
    timed.clock.now += MAX_AGE_SECONDS + 1
    assert await timed.find("ec") == "ec"
    assert await timed.find("next") == "SERVICE_UNAVAILABLE"
    assert issuer.requests == {KEYS: 2}
    timed.clock.now += MIN_FETCH_INTERVAL_SECONDS
    issuer.status, issuer.body = 200, None
    assert await timed.find("ec") == "ec"
    assert issuer.requests == {KEYS: 3}


async def test_concurrent_calls_share_one_fetch(issuer: LocalIssuer, timed: TimedKeys) -> None:
    issuer.may_respond.clear()
    waiting = [asyncio.create_task(timed.find("ec")) for _ in range(10)]
    await issuer.requested.wait()
    waiting.pop().cancel()
    issuer.may_respond.set()
    assert await asyncio.gather(*waiting) == ["ec"] * 9
    assert issuer.requests == {KEYS: 1}


async def test_without_a_key_id_the_only_key_of_the_algorithm_is_used(
    issuer: LocalIssuer, timed: TimedKeys
) -> None:
    assert await timed.find(None) == "ec"
    issuer.keys = [EC, NEXT]
    timed.clock.now += MAX_AGE_SECONDS + 1
    assert await timed.find(None) == "ID_TOKEN_INVALID"


async def test_keys_for_other_purposes_are_not_used(issuer: LocalIssuer, timed: TimedKeys) -> None:
    keys = [
        {**EC.as_dict(private=False), "use": "enc"},
        {**NEXT.as_dict(private=False), "alg": "ES384"},
        RSA.as_dict(private=False),
    ]
    issuer.body = json.dumps({"keys": keys}).encode()
    assert [await timed.find(kid) for kid in ("ec", "next", "rsa")] == ["ID_TOKEN_INVALID"] * 3


async def test_a_discovery_document_of_another_issuer_is_rejected(issuer: LocalIssuer) -> None:
    issuer.body = json.dumps({"issuer": "https://another.example", "jwks_uri": issuer.url + KEYS}).encode()
    verifier = IdTokenVerifier([issuer.trusted()])
    assert await error_cause(verifier, issuer.token()) == "SERVICE_UNAVAILABLE"
    assert issuer.requests == {DISCOVERY: 1}
    await verifier.close()


@pytest.mark.parametrize(
    "values",
    [
        {"issuer": "http://issuer.example"},
        {"issuer": "https://user@issuer.example"},
        {"issuer": "ftp://127.0.0.1"},
        {"issuer": "https://issuer.example", "jwks_uri": "http://issuer.example/keys"},
        {"issuer": "https://issuer.example", "algorithms": ["none"]},
        {"issuer": "https://issuer.example", "algorithms": ["HS256"]},
        {"issuer": "https://issuer.example", "algorithms": []},
        {"issuer": "https://issuer.example", "audiences": []},
        {"issuer": "https://issuer.example", "audiences": [""]},
        {"issuer": "https://issuer.example", "audience": "x"},
    ],
)
def test_insecure_issuer_settings_are_rejected(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrustedIssuer(**{"audiences": ["x"], **values})
