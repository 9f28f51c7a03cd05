"""The list of attacks: tokens that are forged, foreign or crooked, and places where none belongs."""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chassis import tokens
from tests.gateway.forge import (
    ABSENT,
    HEADER,
    ORDER,
    Forge,
    base64url,
    curve_signature,
    pair,
    rsa_signature,
    signature,
)

ENDS: list[Any] = [None, "never", "", [], True, 0, -5, 2**40, 10**30, -(10**30), ABSENT]
CROOKED: list[Any] = [[], None, "TEACHER", 7, {"018f": 7}, {"018f": ["TEACHER"]}, {"018f": None}]
DEEP = b"[" * 6000 + b"]" * 6000

Headers = tuple[tuple[str, str], ...]


class Attack(NamedTuple):
    """What is sent in place of a token, and how it is refused."""

    name: str
    token: Callable[[Forge], str]
    reason: str = "TOKEN_INVALID"


def now(seconds: float) -> int:
    return int(time.time() + seconds)


def claimed(**claims: Any) -> Callable[[Forge], str]:
    return lambda forge: forge.token(**claims)


def under(**parameters: Any) -> Callable[[Forge], str]:
    return lambda forge: forge.under(**parameters)


def signed(change: Callable[[int, int], bytes]) -> Callable[[Forge], str]:
    """A good token whose signature is changed."""
    return lambda forge: forge.token(sign=lambda raw: change(*signature(forge.key, raw)))


def parts(change: Callable[[str, str, str], str]) -> Callable[[Forge], str]:
    """A good token whose parts are put together in another way."""
    return lambda forge: change(*forge.token().split("."))


def payload(raw: bytes) -> Callable[[Forge], str]:
    return lambda forge: forge.token(claims=raw)


def altered(before: str, after: str) -> Callable[[Forge], str]:
    """A good token in whose claims a text is put in place of another, and which is signed then."""
    return lambda forge: forge.token(claims=json.dumps(forge.claims()).replace(before, after, 1).encode())


def spelled(change: Callable[[bytes], bytes]) -> Callable[[Forge], str]:
    """A good token whose claims are bytes that were changed before they were signed."""
    return lambda forge: forge.token(claims=change(json.dumps(forge.claims()).encode()))


def unsigned(alg: Any, kid: Any) -> Callable[[Forge], str]:
    return under(sign=lambda _: b"", alg=alg, kid=kid)


def sealed(alg: str, form: str) -> Callable[[Forge], str]:
    return lambda forge: forge.sealed(alg, form)


def ends(number: str) -> Callable[[Forge], str]:
    return lambda forge: forge.with_exp(number)


def of_other_claims(forge: Forge) -> str:
    header, _, end = forge.token().split(".")
    return f"{header}.{forge.token(role='ADMIN').split('.')[1]}.{end}"


def json_serialised(header: str, claims: str, end: str) -> str:
    return json.dumps({"protected": header, "payload": claims, "signature": end})


def json_serialised_for_many(header: str, claims: str, end: str) -> str:
    return json.dumps({"payload": claims, "signatures": [{"protected": header, "signature": end}]})


def standard_alphabet(forge: Forge) -> str:
    """A good token whose signature has to be spelled with `-` or `_`, and is not."""
    while True:
        head, _, end = forge.token().rpartition(".")
        other = end.replace("-", "+").replace("_", "/")
        if other != end:
            return f"{head}.{other}"


def other_last_bits(token: str) -> str:
    """The same bytes, for whoever overlooks bits that say nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


ALGORITHMS = [
    *(
        Attack(f"unsigned {alg!r} {kid}", unsigned(alg, kid))
        for alg in ("none", "None", "NONE", "nOnE", "", None, ABSENT)
        for kid in ("test", ABSENT)
    ),
    *(
        Attack(f"{alg} with the public key as {form}", sealed(alg, form))
        for alg in ("HS256", "HS384", "HS512")
        for form in ("pem", "der", "jwk", "x", "empty")
    ),
    Attack("RS256 of a foreign key", under(sign=rsa_signature, alg="RS256")),
    Attack("PS256 of a foreign key", under(sign=rsa_signature, alg="PS256")),
    Attack(
        "ES384 of a foreign key",
        under(sign=curve_signature(ec.SECP384R1(), 48, hashes.SHA384()), alg="ES384"),
    ),
    Attack(
        "ES256K of a foreign key",
        under(sign=curve_signature(ec.SECP256K1(), 32, hashes.SHA256()), alg="ES256K"),
    ),
    Attack("EdDSA", under(alg="EdDSA")),
    Attack("ES384 in name", under(alg="ES384")),
    Attack("ES256K in name", under(alg="ES256K")),
    Attack("ES256 in lower case", under(alg="es256")),
    Attack("several algorithms", under(alg=["ES256", "none"])),
]
KEYS = [
    Attack("a foreign key under our kid", lambda forge: forge.token(sign=forge.sign_foreign)),
    *(
        Attack(f"kid {kid!r}", under(kid=kid))
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
    Attack("an embedded jwk", lambda forge: forge.under(forge.sign_foreign, jwk=forge.foreign_jwk())),
    Attack(
        "an embedded jwk without a kid",
        lambda forge: forge.under(forge.sign_foreign, jwk=forge.foreign_jwk(), kid=ABSENT),
    ),
    Attack("our own key embedded", lambda forge: forge.under(jwk=dict(forge.published))),
    Attack("jku", lambda forge: forge.under(forge.sign_foreign, jku="http://127.0.0.1:1/jwks.json")),
    Attack("x5u", lambda forge: forge.under(forge.sign_foreign, x5u="http://127.0.0.1:1/x.pem")),
    Attack("x5c", lambda forge: forge.under(forge.sign_foreign, x5c=["MIIB"])),
    Attack("jku beside a good signature", under(jku="http://127.0.0.1:1/jwks.json")),
    Attack("x5u beside a good signature", under(x5u="http://127.0.0.1:1/x.pem")),
    Attack("x5t beside a good signature", under(x5t="AAAA")),
]
HEADERS = [
    Attack("crit that nobody knows", under(crit=["meno"], meno=True)),
    Attack("crit of a claim", under(crit=["exp"], exp=now(300))),
    Attack("crit b64", under(crit=["b64"], b64=True)),
    Attack("crit, empty", under(crit=[])),
    Attack("b64 false", under(b64=False)),
    Attack("zip", under(zip="DEF")),
    Attack("cty", under(cty="JWT")),
    Attack("enc", under(enc="A128GCM")),
    *(
        Attack(f"typ {typ!r}", under(typ=typ))
        for typ in ("JWT", "id_token+jwt", "at+JWT", "application/at+jwt", "", None, ["at+jwt"], ABSENT)
    ),
    Attack(
        "a header twice",
        lambda forge: forge.token(header=b'{"alg":"none",' + json.dumps(HEADER)[1:].encode()),
    ),
    Attack("a header that is a list", lambda forge: forge.token(header=[HEADER])),
    Attack("a header that is no JSON", lambda forge: forge.token(header=b"alg=ES256")),
    Attack("a header of nothing", lambda forge: forge.token(header=b"")),
    Attack("a header nested deep", lambda forge: forge.token(header=b'{"alg":"ES256","jwk":' + DEEP + b"}")),
    Attack(
        "a header of numbers without end", lambda forge: forge.token(header=b'{"alg":' + b"9" * 6000 + b"}")
    ),
]
CLAIMS = [
    *(
        Attack(f"iss {iss!r}", claimed(iss=iss))
        for iss in ("elsewhere", "", None, 7, ["meno"], "Meno", ABSENT)
    ),
    *(
        Attack(f"aud {aud!r}", claimed(aud=aud))
        # One audience alone, as the issuer writes it: a token for several is not for us (RFC 8725, 3.9).
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
    *(Attack(f"exp {exp!r}", claimed(exp=exp)) for exp in ENDS),
    Attack("exp as a text", lambda forge: forge.token(exp=str(now(300)))),
    Attack("exp as a fraction", lambda forge: forge.token(exp=now(200) + 0.5)),
    Attack("exp beyond a lifetime", lambda forge: forge.token(exp=now(3600))),
    *(
        Attack(f"exp {number}"[:20], ends(number))
        for number in ("Infinity", "-Infinity", "NaN", "1e999", "1e30", "0x7fffffff", "9" * 5000)
    ),
    Attack("expired beyond the skew", lambda forge: forge.token(exp=now(-20)), "TOKEN_EXPIRED"),
    Attack(
        "expired long ago",
        lambda forge: forge.token(iat=now(-(10**6)), exp=now(-(10**6) + 300)),
        "TOKEN_EXPIRED",
    ),
    Attack("nbf in the future", lambda forge: forge.token(nbf=now(60))),
    *(Attack(f"nbf {nbf!r}", claimed(nbf=nbf)) for nbf in ("now", None, 2**40)),
    Attack("iat in the future", lambda forge: forge.token(iat=now(60))),
    *(Attack(f"iat {iat!r}", claimed(iat=iat)) for iat in ("now", None, 2**40, ABSENT)),
    *(Attack(f"sub {sub!r}", claimed(sub=sub)) for sub in ("", None, 7, True, ["me"], {"id": "me"}, ABSENT)),
    *(
        Attack(f"{claim} {value!r}", claimed(**{claim: value}))
        for claim in ("classes", "archived")
        for value in CROOKED
    ),
    Attack("no classes", claimed(classes=ABSENT)),
    *(
        Attack(f"role {role!r}", claimed(role=role))
        for role in ("ROOT", "admin", "", "UNSPECIFIED", "ADMIN\0", 4, None, ["ADMIN"], ABSENT)
    ),
    *(Attack(f"guest {guest!r}", claimed(guest=guest)) for guest in ("false", 0, None)),
    *(Attack(f"rv {rv!r}", claimed(rv=rv)) for rv in ("0", 1.5, True, None, ABSENT)),
    *(Attack(f"sid {sid!r}", claimed(sid=sid)) for sid in ("", 7, None, ABSENT)),
    Attack("sub twice, ours last", altered("{", '{"sub": "somebody else", ')),
    Attack("sub twice, ours first", altered('"rv": 0', '"rv": 0, "sub": "somebody else"')),
    Attack("role twice", altered('"role": "STUDENT"', '"role": "STUDENT", "role": "ADMIN"')),
    Attack(
        "role twice, spelled otherwise",
        altered('"role": "STUDENT"', '"role": "STUDENT", "\\u0072ole": "ADMIN"'),
    ),
    Attack("exp twice", altered('"rv": 0', '"rv": 0, "exp": 99999999999')),
    Attack("a class twice", altered('"classes": {}', '"classes": {"018f": "STUDENT", "018f": "TEACHER"}')),
    Attack("claims that are a list", payload(b"[]")),
    Attack("claims that are a text", payload(b'"sub"')),
    Attack("claims that are no JSON", payload(b"sub=me")),
    Attack("claims with more after them", spelled(lambda claims: claims + b"{}")),
    Attack("claims after a byte order mark", spelled(lambda claims: b"\xef\xbb\xbf" + claims)),
    Attack("claims in UTF-16", spelled(lambda claims: claims.decode().encode("utf-16"))),
    Attack("claims that are no UTF-8", payload(b'{"sub": "\xff\xfe"}')),
    Attack("claims before a NUL", spelled(lambda claims: claims + b"\0")),
    Attack("no claims", payload(b"")),
    Attack("claims nested deep", spelled(lambda claims: claims[:-1] + b', "x": ' + DEEP + b"}")),
]
SIGNATURES = [
    Attack("stripped", parts(lambda header, claims, _: f"{header}.{claims}.")),
    Attack("left out with its dot", parts(lambda header, claims, _: f"{header}.{claims}")),
    Attack("truncated", signed(lambda r, s: pair(r, s)[:-1])),
    Attack("lengthened", signed(lambda r, s: pair(r, s) + b"\0")),
    Attack("all zeros", signed(lambda r, s: bytes(64))),
    Attack("r is zero", signed(lambda r, s: pair(0, s))),
    Attack("s is zero", signed(lambda r, s: pair(r, 0))),
    Attack("r and s are the order", signed(lambda r, s: pair(ORDER, ORDER))),
    Attack("r and s are beyond the order", signed(lambda r, s: pair(2**256 - 1, 2**256 - 1))),
    Attack("r and s change places", signed(lambda r, s: pair(s, r))),
    Attack(
        "in DER", lambda forge: forge.token(sign=lambda raw: forge.key.sign(raw, ec.ECDSA(hashes.SHA256())))
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
        lambda forge: ".".join([base64url(b'{"alg":"dir","enc":"A128GCM"}'), "", "AAAA", "AAAA", "AAAA"]),
    ),
    Attack(
        "a JWT within a JWT",
        lambda forge: forge.token(header={**HEADER, "cty": "JWT"}, claims=forge.token().encode()),
    ),
    Attack("a JWT as claims", lambda forge: forge.token(claims=forge.token().encode())),
    Attack("JSON serialisation", parts(json_serialised)),
    Attack("general JSON serialisation", parts(json_serialised_for_many)),
    Attack("a dot before", parts(lambda *three: "." + ".".join(three))),
    Attack("a dot after", parts(lambda *three: ".".join(three) + ".")),
    Attack("two dots", parts(lambda header, claims, end: f"{header}..{claims}.{end}")),
    Attack("a fourth part", parts(lambda *three: ".".join([*three, "AAAA"]))),
    Attack("dots alone", lambda forge: ".."),
    Attack("nothing", lambda forge: ""),
    Attack("a word", lambda forge: "null"),
    Attack("white space before", lambda forge: " " + forge.token()),
    Attack("white space within", parts(lambda header, claims, end: f"{header}. {claims}.{end}")),
    Attack("padding", lambda forge: forge.token() + "=="),
    Attack("padding of the header", parts(lambda header, claims, end: f"{header}=.{claims}.{end}")),
    Attack("the other alphabet", standard_alphabet),
    Attack("other last bits", lambda forge: other_last_bits(forge.token())),
    Attack("percent encoding", lambda forge: forge.token().replace(".", "%2E")),
    Attack("two tokens", lambda forge: f"{forge.token()} {forge.token()}"),
    Attack("two tokens and a comma", lambda forge: f"{forge.token()}, {forge.token()}"),
    Attack("two credentials in one header", lambda forge: f"{forge.token()}, Bearer {forge.token()}"),
    Attack("quotes", lambda forge: f'"{forge.token()}"'),
    Attack("24 KiB and one byte", lambda forge: forge.sized(tokens.MAX_TOKEN_BYTES + 1)),
    Attack("28 kB of nothing", lambda forge: "x" * 28_000),
]
ATTACKS = [*ALGORITHMS, *KEYS, *HEADERS, *CLAIMS, *SIGNATURES, *FORMS]

BASIC = ("authorization", "Basic bWU6bWU=")
PLACES: list[tuple[str, Callable[[str], Headers], str]] = [
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
