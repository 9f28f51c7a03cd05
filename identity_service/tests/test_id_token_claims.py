"""Claims of ID tokens as Google, Supabase and Cognito write them."""

import time
from typing import Any

import pytest

from chassis.database import Database
from chassis.testing import expect_error
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import IdTokenInvalid
from identity_service.sign_in.identifiers.commands import sign_in_or_sign_up
from identity_service.sign_in.identifiers.types import ExternalIdentity, VerifiedIdentity
from identity_service.sign_in.issuers import rules
from identity_service.tests.conftest import Identity, Person
from identity_service.tests.issuer import CLIENT, LocalIssuer
from identity_service.trusted_issuers import GOOGLE, TrustedIssuer
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.auth_service_pb2 import LinkCredentialsRequest, SignInWithIdTokenRequest
from meno.identity.v1.resources_pb2 import Tokens

ADA = "ada@example.org"


@pytest.fixture
def more_settings(issuer: LocalIssuer) -> dict[str, Any]:
    return {"oidc_issuers": (issuer.trusted(),)}


def check(trusted: TrustedIssuer, **claims: Any) -> VerifiedIdentity:
    """Returns the identity in the claims of a token of this issuer."""
    base = {"iss": trusted.issuer, "aud": CLIENT, "sub": "1", "exp": time.time() + 60}
    return rules.check_claims({**base, **claims}, trusted, "", time.time())


SUPABASE = TrustedIssuer(issuer="https://abc.supabase.co/auth/v1", audiences=(CLIENT,))
COGNITO = TrustedIssuer(issuer="https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", audiences=(CLIENT,))
AT_GOOGLE = TrustedIssuer(issuer=GOOGLE, audiences=(CLIENT,))
OTHER = TrustedIssuer(issuer="https://issuer.example", audiences=(CLIENT,))
FEDERATED = [{"providerType": "Google", "providerName": "Google", "userId": "1122", "primary": "true"}]


@pytest.mark.parametrize("value", [1, 1.0, "1", "True", "TRUE", "yes", [True], {"a": 1}, None])
def test_only_true_and_the_text_true_confirm_an_address(value: Any) -> None:
    assert check(OTHER, email="ada@example.org", email_verified=value).addresses == ()


def test_supabase_writes_the_name_and_the_confirmation_into_its_metadata() -> None:
    metadata = {"full_name": "Ada Lovelace", "email_verified": True}
    verified = check(SUPABASE, email="ada@example.org", user_metadata=metadata)
    assert (verified.name, [one.canonical for one in verified.addresses]) == (
        "Ada Lovelace",
        ["ada@example.org"],
    )
    others: list[Any] = [{"email_verified": 1}, {"email_verified": False}, {}, [], "x"]
    for other in others:
        assert check(SUPABASE, email="ada@example.org", user_metadata=other).addresses == ()
    # Users of another issuer may be able to write the claim.
    assert check(OTHER, email="ada@example.org", user_metadata=metadata).addresses == ()


def test_the_standard_name_takes_precedence() -> None:
    assert check(SUPABASE, name="Ada", user_metadata={"full_name": "Other"}).name == "Ada"
    assert check(SUPABASE, name="", user_metadata={"name": "Ada"}).name == "Ada"
    assert check(SUPABASE, user_metadata={"full_name": 7}).name == ""


def test_google_writes_its_issuer_in_two_ways() -> None:
    for issuer in (GOOGLE, "accounts.google.com"):
        assert check(AT_GOOGLE, iss=issuer).identity == ExternalIdentity(GOOGLE, "1")
    for issuer in ("http://accounts.google.com", "https://accounts.google.com/", "accounts.google.com."):
        with pytest.raises(IdTokenInvalid):
            check(AT_GOOGLE, iss=issuer)
    with pytest.raises(IdTokenInvalid):
        check(OTHER, iss="issuer.example")


def test_cognito_keeps_the_identity_at_google() -> None:
    assert check(COGNITO, identities=FEDERATED).federated == (ExternalIdentity(GOOGLE, "1122"),)
    assert check(OTHER, identities=FEDERATED).federated == ()
    others: list[Any] = [
        [{"providerType": "SAML", "userId": "1122"}],
        [{"providerType": "Google", "userId": 1}],
        [{"providerType": "Google", "userId": "1" * 256}],
        {},
        [7],
    ]
    for other in others:
        assert check(COGNITO, identities=other).federated == ()


async def sign_in(identity: Identity, token: str) -> Tokens:
    return await identity.auth.SignInWithIdToken(SignInWithIdTokenRequest(id_token=token))


async def test_an_anonymous_identity_is_a_guest_until_the_issuer_knows_the_person(
    identity: Identity, issuer: LocalIssuer
) -> None:
    anonymous = issuer.token("a", is_anonymous=True)
    guest = await sign_in(identity, anonymous)
    assert (await sign_in(identity, anonymous)).user.user_id == guest.user.user_id
    assert identity.read_column("SELECT guest FROM users") == [True]
    link = LinkCredentialsRequest(user_id="me", id_token=issuer.token("b", is_anonymous=True))
    await identity.auth.LinkCredentials(link, **Person(guest).auth)
    assert identity.read_column("SELECT guest FROM users") == [True]
    known = issuer.token("a", is_anonymous=False, email=ADA, email_verified=True)
    user = (await sign_in(identity, known)).user
    assert identity.list_identifiers(user.user_id) == {(ADA, True)}
    assert (user.user_id, user.role) == (guest.user.user_id, GlobalRole.GLOBAL_ROLE_STUDENT)
    assert identity.read_column("SELECT guest FROM users") == [False]


async def test_the_configuration_decides_whether_anonymous_identities_sign_in(
    identity: Identity, issuer: LocalIssuer
) -> None:
    identity.execute_sql("INSERT INTO app_config (key, value) VALUES ('guest_sign_in_enabled', 'false')")
    error = await expect_error(sign_in(identity, issuer.token("a", is_anonymous=True)))
    assert error.reason == "GUEST_SIGN_IN_DISABLED"
    assert identity.count_rows("users") == 0


async def test_federated_identities_belong_to_the_same_user(identity: Identity) -> None:
    database = Database(identity.database_url)
    await database.open()
    config = ConfigReader(signup_role="STUDENT", allowed_roles=frozenset())

    async def user_of(verified: VerifiedIdentity) -> str:
        async with database.transaction() as transaction:
            return await sign_in_or_sign_up(transaction, config, verified)

    cognito, google = check(COGNITO, identities=FEDERATED), check(AT_GOOGLE, sub="1122")
    first = await user_of(cognito)
    assert {await user_of(google), await user_of(cognito)} == {first}
    # An identity that already belongs to another user stays with that user.
    other_google = await user_of(check(AT_GOOGLE, sub="3344"))
    plain = await user_of(check(COGNITO, sub="2"))
    also = check(COGNITO, sub="2", identities=[{"providerType": "Google", "userId": "3344"}])
    assert await user_of(also) == plain != other_google
    assert await user_of(check(AT_GOOGLE, sub="3344")) == other_google
    await database.close()


async def test_a_token_above_the_limit_is_unauthenticated(identity: Identity, issuer: LocalIssuer) -> None:
    error = await expect_error(sign_in(identity, issuer.token(padding="x" * 100_000)))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "ID_TOKEN_INVALID")
