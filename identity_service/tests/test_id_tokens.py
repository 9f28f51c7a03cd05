"""ID tokens: which are accepted, and what they prove. Against a real issuer, without a database."""

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
from identity_service.sign_in.credentials.proofs import Identity
from identity_service.sign_in.issuers.fetching import MAX_BYTES
from identity_service.sign_in.issuers.issuers import Issuers
from identity_service.sign_in.issuers.keys import KEPT_FOR, PAUSE, Keys
from identity_service.sign_in.issuers.settings import TrustedIssuer
from identity_service.tests.issuer import CLIENT, DISCOVERY, EC, FOREIGN, KEYS, RSA, LocalIssuer, local_issuer

NEXT = ECKey.generate_key("P-256", {"kid": "next"})


@pytest_asyncio.fixture
async def issuers(issuer: LocalIssuer) -> AsyncIterator[Issuers]:
    made = Issuers([issuer.trusted()])
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module")
async def known() -> AsyncIterator[LocalIssuer]:
    """An issuer whose keys are fetched."""
    async with local_issuer() as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def trusting(known: LocalIssuer) -> AsyncIterator[Issuers]:
    made = Issuers([known.trusted()])
    await made.verify(known.token(), "")
    yield made
    await made.close()


async def refusal(issuers: Issuers, token: str, nonce: str = "") -> str:
    """The cause, or the reason of another refusal."""
    try:
        await issuers.verify(token, nonce)
    except DomainError as error:
        return error.metadata.get("cause", error.reason)
    return ""


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(issuer: LocalIssuer, header: dict[str, Any]) -> str:
    return f"{encoded(header)}.{encoded(issuer.claims())}."


def by_shared_secret(issuer: LocalIssuer) -> str:
    """Signed with the public key as if it were a secret."""
    signed = f"{encoded({'alg': 'HS256', 'kid': 'rsa'})}.{encoded(issuer.claims())}"
    secret = RSA.as_pem(private=False)
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def brings_its_key(issuer: LocalIssuer) -> str:
    own = ECKey.generate_key("P-256", {"kid": "own"})
    header = {"alg": "ES256", "jwk": own.as_dict(private=False)}
    return jwt.encode({**header, "kid": "own"}, issuer.claims(), own)


def with_signature_of_another(issuer: LocalIssuer) -> str:
    head, _, signature = issuer.token().split(".")
    return f"{head}.{encoded(issuer.claims('2'))}.{signature}"


ATTACKS: dict[str, tuple[Any, str]] = {
    "no signature": (lambda i: unsigned(i, {"alg": "none"}), "ALGORITHM"),
    "no signature, of a key": (lambda i: unsigned(i, {"alg": "ES256", "kid": "ec"}), "SIGNATURE"),
    "no algorithm": (lambda i: unsigned(i, {"kid": "ec"}), "MALFORMED"),
    "an algorithm that is no text": (lambda i: unsigned(i, {"alg": ["ES256"]}), "ALGORITHM"),
    "a public key as secret": (by_shared_secret, "ALGORITHM"),
    "an algorithm that is not allowed": (
        lambda i: i.token(key=RSA, header={"alg": "RS512"}),
        "ALGORITHM",
    ),
    "an unknown issuer": (lambda i: i.token(iss="https://issuer.example"), "ISSUER_UNKNOWN"),
    "an issuer spelled otherwise": (lambda i: i.token(iss=i.url + "/"), "ISSUER_UNKNOWN"),
    "an issuer that is no text": (lambda i: i.token(iss=[i.url]), "ISSUER_UNKNOWN"),
    "no issuer": (lambda i: i.token(iss=None), "MALFORMED"),
    "another audience": (lambda i: i.token(aud="another"), "AUDIENCE"),
    "no audience": (lambda i: i.token(aud=None), "AUDIENCE"),
    "an audience that is no text": (lambda i: i.token(aud={CLIENT: True}), "AUDIENCE"),
    "given to somebody else": (lambda i: i.token(aud=[CLIENT, "x"], azp="x"), "AUDIENCE"),
    "given to nobody": (lambda i: i.token(aud=[CLIENT, "x"]), "AUDIENCE"),
    "expired": (lambda i: i.token(exp=time.time() - 60), "EXPIRED"),
    "no end": (lambda i: i.token(exp=None), "EXPIRED"),
    "an end that is no number": (lambda i: i.token(exp=float("nan")), "MALFORMED"),
    "an end that is a truth": (lambda i: i.token(exp=True), "MALFORMED"),
    "an end beyond numbers": (lambda i: i.token(exp=10**400), "MALFORMED"),
    "not yet valid": (lambda i: i.token(nbf=time.time() + 60), "NOT_YET_VALID"),
    "issued tomorrow": (lambda i: i.token(iat=time.time() + 86_400), "NOT_YET_VALID"),
    "a foreign key": (lambda i: i.token(key=FOREIGN), "SIGNATURE"),
    "a key of another kind": (lambda i: i.token(key=FOREIGN, header={"kid": "rsa"}), "KEY_UNKNOWN"),
    "an unknown key": (lambda i: i.token(key=NEXT), "KEY_UNKNOWN"),
    "a key of its own": (brings_its_key, "KEY_UNKNOWN"),
    "a key from elsewhere": (
        lambda i: i.token(key=FOREIGN, header={"jku": "https://evil.example/keys"}),
        "SIGNATURE",
    ),
    "claims of another": (with_signature_of_another, "SIGNATURE"),
    "what must be understood": (
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
    "what is not ASCII": (lambda i: "é.ü.ß", "MALFORMED"),
    "what no text is": (lambda i: "\ud800.a.b", "MALFORMED"),
    "a list": (lambda i: f"{encoded({'alg': 'ES256'})}.{encoded([])}.AA", "MALFORMED"),
    "24 kB": (lambda i: "x" * 24_576, "MALFORMED"),
    "24 kB of brackets": (lambda i: f"{encoded({'alg': 'ES256'})}.{encoded(b'[' * 18_000)}.AA", "MALFORMED"),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_token_that_may_be_forged_is_refused(
    known: LocalIssuer, trusting: Issuers, attack: str
) -> None:
    forge, cause = ATTACKS[attack]
    assert await refusal(trusting, forge(known)) == cause
    assert await refusal(trusting, known.token()) == ""


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES256", "RS256"])
async def test_a_token_of_a_trusted_issuer_tells_who_somebody_is(
    known: LocalIssuer, trusting: Issuers, key: Any
) -> None:
    proof = await trusting.verify(known.token("Abc|1", key=key, name=" Ada\x00 Lovelace "), "")
    assert proof.identity == Identity(known.url, "Abc|1")
    assert (proof.name, proof.addresses) == ("Ada Lovelace", ())


ACCEPTED: dict[str, Any] = {
    "several audiences": lambda i: i.token(aud=["x", "meno-app"], azp=CLIENT),
    "a list of one": lambda i: i.token(aud=[CLIENT]),
    "given to an app of the same house": lambda i: i.token(azp="the app"),
    "no beginning": lambda i: i.token(nbf=None, iat=None),
    "a clock that is late": lambda i: i.token(exp=time.time() - CLOCK_SKEW.total_seconds() / 2),
    "a clock that is early": lambda i: i.token(nbf=time.time() + CLOCK_SKEW.total_seconds()),
    "no type": lambda i: jwt.encode({"alg": "ES256", "kid": "ec"}, i.claims(), EC, default_type=None),
    "claims of other kinds": lambda i: i.token(name=7, email=["x"], email_verified=True),
}


@pytest.mark.parametrize("token", ACCEPTED.values(), ids=ACCEPTED)
async def test_what_issuers_do_differently_is_accepted(
    known: LocalIssuer, trusting: Issuers, token: Any
) -> None:
    assert await refusal(trusting, token(known)) == ""


@pytest.mark.parametrize(
    ("asked", "told", "cause"),
    [
        ("", None, ""),
        ("", "n", ""),
        ("n", "n", ""),
        ("n", "m", "NONCE"),
        ("n", None, "NONCE"),
        ("7", 7, "NONCE"),
    ],
)
async def test_the_nonce_is_that_of_the_request(
    known: LocalIssuer, trusting: Issuers, asked: str, told: Any, cause: str
) -> None:
    assert await refusal(trusting, known.token(nonce=told), asked) == cause


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
async def test_an_address_is_proven_only_where_the_issuer_says_so(
    known: LocalIssuer, trusting: Issuers, claims: dict[str, Any], addresses: set[str]
) -> None:
    proof = await trusting.verify(known.token(**claims), "")
    assert {address.canonical for address in proof.addresses} == addresses


async def test_keys_are_fetched_once_where_the_issuer_says_they_are(
    issuer: LocalIssuer, issuers: Issuers
) -> None:
    await asyncio.gather(*(issuers.verify(issuer.token(key=key), "") for key in [EC, RSA] * 10))
    assert issuer.asked == {DISCOVERY: 1, KEYS: 1}


async def test_tokens_with_invented_keys_do_not_make_us_ask(issuer: LocalIssuer, issuers: Issuers) -> None:
    for number in range(20):
        forged = issuer.token(key=FOREIGN, header={"kid": f"invented {number}"})
        assert await refusal(issuers, forged) == "KEY_UNKNOWN"
    assert issuer.asked[KEYS] == 1


async def test_without_an_issuer_no_token_is_accepted(issuer: LocalIssuer) -> None:
    assert await refusal(Issuers([]), issuer.token()) == "ISSUER_UNKNOWN"
    assert not issuer.asked


async def test_an_issuer_that_is_down_is_not_asked_by_everybody(
    issuer: LocalIssuer, issuers: Issuers
) -> None:
    issuer.status = 503
    causes = [await refusal(issuers, issuer.token()) for _ in range(3)]
    assert causes == ["SERVICE_UNAVAILABLE"] * 3
    assert issuer.asked == {DISCOVERY: 1}


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Timed:
    """The keys of an issuer, on a clock of the test's."""

    def __init__(self, issuer: LocalIssuer, issuers: Issuers) -> None:
        self.clock = Clock()
        assert issuers._web is not None
        self.keys = Keys(issuer.trusted(jwks_uri=issuer.url + KEYS), issuers._web.json, self.clock)

    async def finds(self, kid: str | None) -> str:
        """Of whom the key is, or why there is none."""
        try:
            return str((await self.keys.find(kid, "ES256")).kid)
        except DomainError as error:
            return error.reason


@pytest.fixture
def timed(issuer: LocalIssuer, issuers: Issuers) -> Timed:
    return Timed(issuer, issuers)


async def test_a_new_key_is_found_though_not_at_every_moment(issuer: LocalIssuer, timed: Timed) -> None:
    assert await timed.finds("ec") == "ec"
    issuer.keys = [NEXT]
    assert await timed.finds("next") == "ID_TOKEN_INVALID"
    timed.clock.now += PAUSE
    assert await timed.finds("next") == "next"
    assert await timed.finds("ec") == "ID_TOKEN_INVALID"
    assert issuer.asked == {KEYS: 2}


async def test_keys_that_grow_old_are_fetched_again(issuer: LocalIssuer, timed: Timed) -> None:
    assert await timed.finds("ec") == "ec"
    issuer.keys = [NEXT]
    timed.clock.now += KEPT_FOR + 1
    assert await timed.finds("ec") == "ID_TOKEN_INVALID"


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
async def test_the_last_keys_hold_when_a_fetch_fails(
    issuer: LocalIssuer, timed: Timed, status: int, body: bytes | None
) -> None:
    assert await timed.finds("ec") == "ec"
    issuer.status, issuer.body = status, body
    timed.clock.now += KEPT_FOR + 1
    assert await timed.finds("ec") == "ec"
    assert await timed.finds("next") == "SERVICE_UNAVAILABLE"
    assert issuer.asked == {KEYS: 2}
    timed.clock.now += PAUSE
    issuer.status, issuer.body = 200, None
    assert await timed.finds("ec") == "ec"
    assert issuer.asked == {KEYS: 3}


async def test_one_fetch_serves_everybody_who_waits(issuer: LocalIssuer, timed: Timed) -> None:
    issuer.held.clear()
    waiting = [asyncio.create_task(timed.finds("ec")) for _ in range(10)]
    await issuer.came.wait()
    waiting.pop().cancel()
    issuer.held.set()
    assert await asyncio.gather(*waiting) == ["ec"] * 9
    assert issuer.asked == {KEYS: 1}


async def test_without_an_id_the_only_key_of_its_kind_is_meant(issuer: LocalIssuer, timed: Timed) -> None:
    assert await timed.finds(None) == "ec"
    issuer.keys = [EC, NEXT]
    timed.clock.now += KEPT_FOR + 1
    assert await timed.finds(None) == "ID_TOKEN_INVALID"


async def test_keys_for_other_purposes_verify_nothing(issuer: LocalIssuer, timed: Timed) -> None:
    keys = [
        {**EC.as_dict(private=False), "use": "enc"},
        {**NEXT.as_dict(private=False), "alg": "ES384"},
        RSA.as_dict(private=False),
    ]
    issuer.body = json.dumps({"keys": keys}).encode()
    assert [await timed.finds(kid) for kid in ("ec", "next", "rsa")] == ["ID_TOKEN_INVALID"] * 3


async def test_an_issuer_speaks_for_itself_alone(issuer: LocalIssuer) -> None:
    issuer.body = json.dumps({"issuer": "https://another.example", "jwks_uri": issuer.url + KEYS}).encode()
    issuers = Issuers([issuer.trusted()])
    assert await refusal(issuers, issuer.token()) == "SERVICE_UNAVAILABLE"
    assert issuer.asked == {DISCOVERY: 1}
    await issuers.close()


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
def test_an_issuer_that_nobody_should_trust_is_no_setting(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrustedIssuer(**{"audiences": ["x"], **values})
