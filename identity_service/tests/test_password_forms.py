"""Passwords and identifiers that devices send in different forms."""

import unicodedata
import uuid
from collections.abc import Awaitable
from typing import Any

import pytest
from argon2 import PasswordHasher
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import expect_error
from identity_service.sign_in.identifiers import rules as identifier_rules
from identity_service.tests.code_inbox import ADA, SETTINGS, redeem, request_code
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.identity.v1.auth_service_pb2 import (
    ChangePasswordRequest,
    LinkCredentialsRequest,
    SignInRequest,
    SignUpRequest,
)
from meno.identity.v1.resources_pb2 import Tokens

TEXT = "Überraschungsmenü für Ångström"
COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", TEXT), unicodedata.normalize("NFD", TEXT)
FULL_WIDTH, HALF_WIDTH = "ｆｕｌｌｗｉｄｔｈ－ｌａｎｔｅｒｎ", "fullwidth-lantern"
PAIRS = [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (FULL_WIDTH, HALF_WIDTH), (HALF_WIDTH, FULL_WIDTH)]
SHORT = unicodedata.normalize("NFD", "über öl äß tüx")
"""Has 18 code points, and 14 in NFKC."""
LONG = "".join(chr(0x00E8 + index % 8) + "xyzw"[index % 4] for index in range(100))
"""Has 200 characters, and more in NFD."""


@pytest.fixture
def more_settings() -> dict[str, Any]:
    return SETTINGS


async def sign_up(identity: Identity, password: str, **values: Any) -> Person:
    request = SignUpRequest(login_name="Uma", display_name="Uma", password=password, **values)
    return Person(await identity.auth.SignUp(request))


async def sign_in(identity: Identity, password: str, identifier: str = "Uma") -> Tokens:
    return await identity.auth.SignIn(SignInRequest(identifier=identifier, password=password))


@pytest.mark.parametrize(("stored", "entered"), PAIRS)
async def test_each_way_to_set_a_password_accepts_it_in_every_form(
    identity: Identity, stored: str, entered: str
) -> None:
    uma = await sign_up(identity, stored)
    await sign_in(identity, entered)
    change = ChangePasswordRequest(user_id="me", old_password=entered, new_password=PASSWORD)
    await identity.auth.ChangePassword(change, **uma.auth)
    ada = Person(await redeem(identity, await request_code(identity, ADA)))
    for password in (stored, entered):
        link = LinkCredentialsRequest(user_id="me", password=password)
        await identity.auth.LinkCredentials(link, **ada.auth)
    await sign_in(identity, entered, ADA)
    await redeem(identity, await request_code(identity, ADA), new_password=entered)
    await sign_in(identity, stored, ADA)


async def test_a_repeated_sign_up_may_send_another_form(identity: Identity) -> None:
    request_id = str(uuid.uuid4())
    first = await sign_up(identity, COMPOSED, request_id=request_id)
    again = await sign_up(identity, DECOMPOSED, request_id=request_id)
    assert first.tokens.refresh_token == again.tokens.refresh_token


async def test_other_characters_are_another_password(identity: Identity) -> None:
    await sign_up(identity, COMPOSED)
    for wrong in (COMPOSED.replace("ü", "u"), f" {COMPOSED}", COMPOSED.lower()):
        assert (await expect_error(sign_in(identity, wrong))).reason == "CREDENTIALS_INVALID"


async def test_a_hash_of_the_text_as_it_was_sent_is_replaced_at_the_next_sign_in(identity: Identity) -> None:
    uma = await sign_up(identity, COMPOSED)
    [before] = identity.read_column("SELECT password_hash FROM credentials")
    old = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(DECOMPOSED)
    identity.execute_sql("UPDATE credentials SET password_hash = %s WHERE user_id = %s", old, uma.user_id)
    assert (await expect_error(sign_in(identity, COMPOSED))).reason == "CREDENTIALS_INVALID"
    await sign_in(identity, DECOMPOSED)
    await sign_in(identity, COMPOSED)
    assert identity.read_column("SELECT password_hash FROM credentials") not in ([before], [old])


async def test_the_length_is_counted_in_the_canonical_form(identity: Identity) -> None:
    assert (len(SHORT), len(unicodedata.normalize("NFKC", SHORT))) == (18, 14)
    uma = await sign_up(identity, PASSWORD)
    code = await request_code(identity, ADA)
    change = ChangePasswordRequest(user_id="me", old_password=PASSWORD, new_password=SHORT)
    ada = Person(await redeem(identity, code))
    link = LinkCredentialsRequest(user_id="me", password=SHORT)
    request = SignUpRequest(login_name="Eva", display_name="Eva", password=SHORT)
    await request_code(identity, "eva@example.org")
    attempts: list[tuple[str, Awaitable[Any]]] = [
        ("password", identity.auth.SignUp(request)),
        ("password", identity.auth.LinkCredentials(link, **ada.auth)),
        ("new_password", identity.auth.ChangePassword(change, **uma.auth)),
        ("new_password", redeem(identity, await request_code(identity, ADA), new_password=SHORT)),
    ]
    for field, attempt in attempts:
        error = await expect_error(attempt)
        assert error.reason == "FIELD_INVALID"
        [violation] = error.detail(BadRequest).field_violations
        assert (violation.field, violation.reason) == (field, "password.length")
        assert "at least 15 characters" in violation.description


async def test_a_password_of_200_characters_may_be_sent_decomposed(identity: Identity) -> None:
    decomposed = unicodedata.normalize("NFD", LONG)
    assert len(LONG) == 200 < len(decomposed)
    await sign_up(identity, decomposed)
    await sign_in(identity, LONG)
    longer = SignUpRequest(login_name="Eva", display_name="Eva", password=f"{LONG}x")
    error = await expect_error(identity.auth.SignUp(longer))
    [violation] = error.detail(BadRequest).field_violations
    assert "at most 200 characters" in violation.description


@pytest.mark.parametrize("form", ["{} ", " {}", "\u00a0{}\n", "{}\u200b", "\u202a{}\u202c"])
async def test_white_space_around_an_identifier_is_ignored(identity: Identity, form: str) -> None:
    phone = "+919876543210"
    await sign_up(identity, PASSWORD, email=ADA, phone=phone)
    for identifier in ("Uma", ADA, phone):
        await sign_in(identity, PASSWORD, form.format(identifier))
    await identity.auth.SignIn(SignInRequest(email=form.format(ADA), password=PASSWORD))
    await redeem(identity, await request_code(identity, ADA), form.format(ADA))


async def test_spellings_with_white_space_share_one_count(identity: Identity) -> None:
    await sign_up(identity, PASSWORD)
    for count in range(5):
        attempt = sign_in(identity, "wrong" * 4, "Uma" + " " * count)
        assert (await expect_error(attempt)).reason == "CREDENTIALS_INVALID"
    assert (await expect_error(sign_in(identity, PASSWORD))).reason == "SIGN_IN_RATE_LIMITED"


def test_white_space_inside_an_identifier_is_kept() -> None:
    assert identifier_rules.trim(" a b ") == "a b"
