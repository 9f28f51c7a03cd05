"""Attacks: forged, foreign and malformed tokens, and tokens in wrong places."""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chassis import tokens
from tests.gateway.token_factory import (
    ABSENT,
    HEADER,
    ORDER,
    TokenFactory,
    base64url,
    curve_signature,
    pair,
    rsa_signature,
    signature,
)

EXPIRIES: list[Any] = [None, "never", "", [], True, 0, -5, 2**40, 10**30, -(10**30), ABSENT]
MALFORMED_CLASSES: list[Any] = [[], None, "TEACHER", 7, {"018f": 7}, {"018f": ["TEACHER"]}, {"018f": None}]
DEEPLY_NESTED = b"[" * 6000 + b"]" * 6000

Headers = tuple[tuple[str, str], ...]


class Attack(NamedTuple):
    """A manipulated token and the reason of its rejection."""

    name: str
    token: Callable[[TokenFactory], str]
    reason: str = "TOKEN_INVALID"


def now(seconds: float) -> int:
    return int(time.time() + seconds)


def claimed(**claims: Any) -> Callable[[TokenFactory], str]:
    return lambda factory: factory.token(**claims)


def with_header(**parameters: Any) -> Callable[[TokenFactory], str]:
    return lambda factory: factory.with_header(**parameters)


def signed(change: Callable[[int, int], bytes]) -> Callable[[TokenFactory], str]:
    """Returns a builder of a valid token with a changed signature."""
    return lambda factory: factory.token(sign=lambda raw: change(*signature(factory.key, raw)))


def parts(change: Callable[[str, str, str], str]) -> Callable[[TokenFactory], str]:
    """Returns a builder of a valid token whose parts are combined differently."""
    return lambda factory: change(*factory.token().split("."))


def payload(raw: bytes) -> Callable[[TokenFactory], str]:
    return lambda factory: factory.token(claims=raw)


def with_replaced_text(before: str, after: str) -> Callable[[TokenFactory], str]:
    """Returns a builder of a token in whose claims a text is replaced before the signature."""
    return lambda factory: factory.token(
        claims=json.dumps(factory.claims()).replace(before, after, 1).encode()
    )


def with_changed_bytes(change: Callable[[bytes], bytes]) -> Callable[[TokenFactory], str]:
    """Returns a builder of a token whose encoded claims are changed before the signature."""
    return lambda factory: factory.token(claims=change(json.dumps(factory.claims()).encode()))


def unsigned(alg: Any, kid: Any) -> Callable[[TokenFactory], str]:
    return with_header(sign=lambda _: b"", alg=alg, kid=kid)


def with_hmac(alg: str, form: str) -> Callable[[TokenFactory], str]:
    return lambda factory: factory.with_hmac(alg, form)


def with_expiry(number: str) -> Callable[[TokenFactory], str]:
    return lambda factory: factory.with_exp(number)


def of_other_claims(factory: TokenFactory) -> str:
    header, _, end = factory.token().split(".")
    return f"{header}.{factory.token(role='ADMIN').split('.')[1]}.{end}"


def json_serialised(header: str, claims: str, end: str) -> str:
    return json.dumps({"protected": header, "payload": claims, "signature": end})


def json_serialised_for_many(header: str, claims: str, end: str) -> str:
    return json.dumps({"payload": claims, "signatures": [{"protected": header, "signature": end}]})


def standard_alphabet(factory: TokenFactory) -> str:
    """Returns a token whose signature uses the standard base64 alphabet."""
    while True:
        head, _, end = factory.token().rpartition(".")
        other = end.replace("-", "+").replace("_", "/")
        if other != end:
            return f"{head}.{other}"


def other_last_bits(token: str) -> str:
    """Returns the token with other unused bits in its last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


ALGORITHMS = [
    *(
        Attack(f"unsigned {alg!r} {kid}", unsigned(alg, kid))
        for alg in ("none", "None", "NONE", "nOnE", "", None, ABSENT)
        for kid in ("test", ABSENT)
    ),
    *(
        Attack(f"{alg} with the public key as {form}", with_hmac(alg, form))
        for alg in ("HS256", "HS384", "HS512")
        for form in ("pem", "der", "jwk", "x", "empty")
    ),
    Attack("RS256 of a foreign key", with_header(sign=rsa_signature, alg="RS256")),
    Attack("PS256 of a foreign key", with_header(sign=rsa_signature, alg="PS256")),
    Attack(
        "ES384 of a foreign key",
        with_header(sign=curve_signature(ec.SECP384R1(), 48, hashes.SHA384()), alg="ES384"),
    ),
    Attack(
        "ES256K of a foreign key",
        with_header(sign=curve_signature(ec.SECP256K1(), 32, hashes.SHA256()), alg="ES256K"),
    ),
    Attack("EdDSA", with_header(alg="EdDSA")),
    Attack("ES384 only in the header", with_header(alg="ES384")),
    Attack("ES256K only in the header", with_header(alg="ES256K")),
    Attack("ES256 in lower case", with_header(alg="es256")),
    Attack("several algorithms", with_header(alg=["ES256", "none"])),
]
KEYS = [
    Attack(
        "a foreign key with the kid of the issuer", lambda factory: factory.token(sign=factory.sign_foreign)
    ),
    *(
        Attack(f"kid {kid!r}", with_header(kid=kid))
        for kid in (
            "unknown",
            "../../../dev/null",
            "/proc/self/environ",
            "test' OR '1'='1",
            "http://127.0.0.1:1/key",
            "file:///etc/passwd",
            "test\0",
            "TEST",
            "",
            "k" * 10_000,
            None,
            7,
            ["test"],
            {"kid": "test"},
            ABSENT,
        )
    ),
    Attack(
        "an embedded jwk",
        lambda factory: factory.with_header(factory.sign_foreign, jwk=factory.foreign_jwk()),
    ),
    Attack(
        "an embedded jwk without a kid",
        lambda factory: factory.with_header(factory.sign_foreign, jwk=factory.foreign_jwk(), kid=ABSENT),
    ),
    Attack("the published key embedded", lambda factory: factory.with_header(jwk=dict(factory.published))),
    Attack(
        "jku", lambda factory: factory.with_header(factory.sign_foreign, jku="http://127.0.0.1:1/jwks.json")
    ),
    Attack("x5u", lambda factory: factory.with_header(factory.sign_foreign, x5u="http://127.0.0.1:1/x.pem")),
    Attack("x5c", lambda factory: factory.with_header(factory.sign_foreign, x5c=["MIIB"])),
    Attack("jku with a valid signature", with_header(jku="http://127.0.0.1:1/jwks.json")),
    Attack("x5u with a valid signature", with_header(x5u="http://127.0.0.1:1/x.pem")),
    Attack("x5t with a valid signature", with_header(x5t="AAAA")),
]
HEADERS = [
    Attack("unknown crit", with_header(crit=["meno"], meno=True)),
    Attack("crit of a claim", with_header(crit=["exp"], exp=now(300))),
    Attack("crit b64", with_header(crit=["b64"], b64=True)),
    Attack("crit, empty", with_header(crit=[])),
    Attack("b64 false", with_header(b64=False)),
    Attack("zip", with_header(zip="DEF")),
    Attack("cty", with_header(cty="JWT")),
    Attack("enc", with_header(enc="A128GCM")),
    *(
        Attack(f"typ {typ!r}", with_header(typ=typ))
        for typ in ("JWT", "id_token+jwt", "at+JWT", "application/at+jwt", "", None, ["at+jwt"], ABSENT)
    ),
    Attack(
        "a header twice",
        lambda factory: factory.token(header=b'{"alg":"none",' + json.dumps(HEADER)[1:].encode()),
    ),
    Attack("a header that is a list", lambda factory: factory.token(header=[HEADER])),
    Attack("a header that is not JSON", lambda factory: factory.token(header=b"alg=ES256")),
    Attack("an empty header", lambda factory: factory.token(header=b"")),
    Attack(
        "a deeply nested header",
        lambda factory: factory.token(header=b'{"alg":"ES256","jwk":' + DEEPLY_NESTED + b"}"),
    ),
    Attack(
        "a header with a very long number",
        lambda factory: factory.token(header=b'{"alg":' + b"9" * 6000 + b"}"),
    ),
]
CLAIMS = [
    *(
        Attack(f"iss {iss!r}", claimed(iss=iss))
        for iss in ("elsewhere", "", None, 7, ["meno"], "Meno", ABSENT)
    ),
    *(
        Attack(f"aud {aud!r}", claimed(aud=aud))
        # Only a single audience is valid. A token for several audiences is rejected (RFC 8725, 3.9).
        for aud in (
            "elsewhere",
            "",
            None,
            7,
            [],
            ["meno"],
            ["elsewhere", "meno"],
            {"meno": 1},
            "MENO",
            ABSENT,
        )
    ),
    *(Attack(f"exp {exp!r}", claimed(exp=exp)) for exp in EXPIRIES),
    Attack("exp as a text", lambda factory: factory.token(exp=str(now(300)))),
    Attack("exp as a fraction", lambda factory: factory.token(exp=now(200) + 0.5)),
    Attack("exp beyond a lifetime", lambda factory: factory.token(exp=now(3600))),
    *(
        Attack(f"exp {number}"[:20], with_expiry(number))
        for number in ("Infinity", "-Infinity", "NaN", "1e999", "1e30", "0x7fffffff", "9" * 5000)
    ),
    Attack("expired beyond the skew", lambda factory: factory.token(exp=now(-20)), "TOKEN_EXPIRED"),
    Attack(
        "expired long ago",
        lambda factory: factory.token(iat=now(-(10**6)), exp=now(-(10**6) + 300)),
        "TOKEN_EXPIRED",
    ),
    Attack("nbf in the future", lambda factory: factory.token(nbf=now(60))),
    *(Attack(f"nbf {nbf!r}", claimed(nbf=nbf)) for nbf in ("now", None, 2**40)),
    Attack("iat in the future", lambda factory: factory.token(iat=now(60))),
    *(Attack(f"iat {iat!r}", claimed(iat=iat)) for iat in ("now", None, 2**40, ABSENT)),
    *(Attack(f"sub {sub!r}", claimed(sub=sub)) for sub in ("", None, 7, True, ["me"], {"id": "me"}, ABSENT)),
    *(
        Attack(f"{claim} {value!r}", claimed(**{claim: value}))
        for claim in ("classes", "archived")
        for value in MALFORMED_CLASSES
    ),
    Attack("no classes", claimed(classes=ABSENT)),
    *(
        Attack(f"role {role!r}", claimed(role=role))
        for role in ("ROOT", "admin", "", "UNSPECIFIED", "ADMIN\0", 4, None, ["ADMIN"], ABSENT)
    ),
    *(Attack(f"guest {guest!r}", claimed(guest=guest)) for guest in ("false", 0, None)),
    *(Attack(f"rv {rv!r}", claimed(rv=rv)) for rv in ("0", 1.5, True, None, ABSENT)),
    *(Attack(f"sid {sid!r}", claimed(sid=sid)) for sid in ("", 7, None, ABSENT)),
    Attack("sub twice, valid one last", with_replaced_text("{", '{"sub": "somebody else", ')),
    Attack("sub twice, valid one first", with_replaced_text('"rv": 0', '"rv": 0, "sub": "somebody else"')),
    Attack("role twice", with_replaced_text('"role": "STUDENT"', '"role": "STUDENT", "role": "ADMIN"')),
    Attack(
        "role twice, escaped differently",
        with_replaced_text('"role": "STUDENT"', '"role": "STUDENT", "\\u0072ole": "ADMIN"'),
    ),
    Attack("exp twice", with_replaced_text('"rv": 0', '"rv": 0, "exp": 99999999999')),
    Attack(
        "a class twice",
        with_replaced_text('"classes": {}', '"classes": {"018f": "STUDENT", "018f": "TEACHER"}'),
    ),
    Attack("claims that are a list", payload(b"[]")),
    Attack("claims that are a text", payload(b'"sub"')),
    Attack("claims that are not JSON", payload(b"sub=me")),
    Attack("claims with trailing data", with_changed_bytes(lambda claims: claims + b"{}")),
    Attack("claims after a byte order mark", with_changed_bytes(lambda claims: b"\xef\xbb\xbf" + claims)),
    Attack("claims in UTF-16", with_changed_bytes(lambda claims: claims.decode().encode("utf-16"))),
    Attack("claims that are not UTF-8", payload(b'{"sub": "\xff\xfe"}')),
    Attack("claims before a NUL", with_changed_bytes(lambda claims: claims + b"\0")),
    Attack("no claims", payload(b"")),
    Attack(
        "deeply nested claims",
        with_changed_bytes(lambda claims: claims[:-1] + b', "x": ' + DEEPLY_NESTED + b"}"),
    ),
]
SIGNATURES = [
    Attack("stripped", parts(lambda header, claims, _: f"{header}.{claims}.")),
    Attack("missing with its dot", parts(lambda header, claims, _: f"{header}.{claims}")),
    Attack("truncated", signed(lambda r, s: pair(r, s)[:-1])),
    Attack("lengthened", signed(lambda r, s: pair(r, s) + b"\0")),
    Attack("all zeros", signed(lambda r, s: bytes(64))),
    Attack("r is zero", signed(lambda r, s: pair(0, s))),
    Attack("s is zero", signed(lambda r, s: pair(r, 0))),
    Attack("r and s are the order", signed(lambda r, s: pair(ORDER, ORDER))),
    Attack("r and s are beyond the order", signed(lambda r, s: pair(2**256 - 1, 2**256 - 1))),
    Attack("r and s swapped", signed(lambda r, s: pair(s, r))),
    Attack(
        "in DER",
        lambda factory: factory.token(sign=lambda raw: factory.key.sign(raw, ec.ECDSA(hashes.SHA256()))),
    ),
    Attack(
        "of another token",
        parts(lambda header, claims, _: f"{header}.{claims}.{base64url(bytes(range(64)))}"),
    ),
    Attack("of other claims", of_other_claims),
]
FORMS = [
    Attack(
        "JWE",
        lambda factory: ".".join([base64url(b'{"alg":"dir","enc":"A128GCM"}'), "", "AAAA", "AAAA", "AAAA"]),
    ),
    Attack(
        "a JWT within a JWT",
        lambda factory: factory.token(header={**HEADER, "cty": "JWT"}, claims=factory.token().encode()),
    ),
    Attack("a JWT as claims", lambda factory: factory.token(claims=factory.token().encode())),
    Attack("JSON serialisation", parts(json_serialised)),
    Attack("general JSON serialisation", parts(json_serialised_for_many)),
    Attack("a dot before", parts(lambda *three: "." + ".".join(three))),
    Attack("a dot after", parts(lambda *three: ".".join(three) + ".")),
    Attack("two dots", parts(lambda header, claims, end: f"{header}..{claims}.{end}")),
    Attack("a fourth part", parts(lambda *three: ".".join([*three, "AAAA"]))),
    Attack("only dots", lambda factory: ".."),
    Attack("empty", lambda factory: ""),
    Attack("a word", lambda factory: "null"),
    Attack("white space before", lambda factory: " " + factory.token()),
    Attack("white space within", parts(lambda header, claims, end: f"{header}. {claims}.{end}")),
    Attack("padding", lambda factory: factory.token() + "=="),
    Attack("padding of the header", parts(lambda header, claims, end: f"{header}=.{claims}.{end}")),
    Attack("the other alphabet", standard_alphabet),
    Attack("other last bits", lambda factory: other_last_bits(factory.token())),
    Attack("percent encoding", lambda factory: factory.token().replace(".", "%2E")),
    Attack("two tokens", lambda factory: f"{factory.token()} {factory.token()}"),
    Attack("two tokens and a comma", lambda factory: f"{factory.token()}, {factory.token()}"),
    Attack("two credentials in one header", lambda factory: f"{factory.token()}, Bearer {factory.token()}"),
    Attack("quotes", lambda factory: f'"{factory.token()}"'),
    Attack("24 KiB and one byte", lambda factory: factory.sized(tokens.MAX_TOKEN_BYTES + 1)),
    Attack("28 kB of filler", lambda factory: "x" * 28_000),
]
ATTACKS = [*ALGORITHMS, *KEYS, *HEADERS, *CLAIMS, *SIGNATURES, *FORMS]

BASIC = ("authorization", "Basic bWU6bWU=")
PLACEMENTS: list[tuple[str, Callable[[str], Headers], str]] = [
    ("bearer in lower case", lambda token: (("authorization", f"bearer {token}"),), "TOKEN_MISSING"),
    ("bearer in capitals", lambda token: (("authorization", f"BEARER {token}"),), "TOKEN_MISSING"),
    ("two spaces", lambda token: (("authorization", f"Bearer  {token}"),), "TOKEN_INVALID"),
    ("no scheme", lambda token: (("authorization", token),), "TOKEN_MISSING"),
    ("another scheme", lambda token: (("authorization", f"DPoP {token}"),), "TOKEN_MISSING"),
    ("a scheme before", lambda token: (("authorization", f"Basic Bearer {token}"),), "TOKEN_MISSING"),
    ("a cookie", lambda token: (("cookie", f"access_token={token}"),), "TOKEN_MISSING"),
    ("a cookie of that name", lambda token: (("cookie", f"authorization=Bearer {token}"),), "TOKEN_MISSING"),
    ("another header", lambda token: (("x-access-token", f"Bearer {token}"),), "TOKEN_MISSING"),
    ("for a proxy", lambda token: (("proxy-authorization", f"Bearer {token}"),), "TOKEN_MISSING"),
    ("twice", lambda token: (("authorization", f"Bearer {token}"),) * 2, "TOKEN_INVALID"),
    ("after another", lambda token: (BASIC, ("authorization", f"Bearer {token}")), "TOKEN_MISSING"),
    ("before another", lambda token: (("authorization", f"Bearer {token}"), BASIC), "TOKEN_INVALID"),
]
