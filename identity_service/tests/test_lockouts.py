"""Failed attempts of others do not lock an owner out."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from google.rpc.error_details_pb2 import RetryInfo

from chassis import calls
from chassis.errors import ServiceUnavailable
from chassis.networks import network_of
from chassis.testing import expect_error
from identity_service.errors import SignInRateLimited
from identity_service.sign_in.codes import rules as code_rules
from identity_service.sign_in.passwords import hashing
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.throttle import commands as throttle
from identity_service.sign_in.throttle import rules
from identity_service.sign_in.throttle.networks import WINDOW, NetworkLimit
from identity_service.tests.code_inbox import ADA, SETTINGS, next_message, wrong_code
from identity_service.tests.commands import run_command
from identity_service.tests.conftest import PASSWORD, Identity
from meno.identity.v1.auth_service_pb2 import (
    RedeemOneTimeCodeRequest,
    RequestOneTimeCodeRequest,
    SignInRequest,
)
from meno.identity.v1.resources_pb2 import Tokens

SECRET = "a secret of this test, long enough"
HOME, SCHOOL = "198.51.100.7", "2001:db8:1:2::7"
[FREE_ATTEMPTS, _] = rules.BACKOFF[0]


@pytest.fixture
def more_settings() -> dict[str, Any]:
    return SETTINGS


def at(address: str) -> dict[str, Any]:
    """Returns the metadata of the gateway for a client with this address."""
    return {"metadata": ((calls.CLIENT_ADDRESS, address),)}


async def sign_in(
    identity: Identity, address: str, password: str = PASSWORD, name: str = "Uma", refresh_token: str = ""
) -> Tokens:
    request = SignInRequest(identifier=name, password=password, refresh_token=refresh_token)
    return await identity.auth.SignIn(request, **at(address))


async def fail(identity: Identity, address: str, times: int, **values: str) -> list[str]:
    """Returns the reasons of attempts with a wrong password."""
    attempts = [sign_in(identity, address, password="wrong" * 4, **values) for _ in range(times)]
    return [(await expect_error(attempt)).reason for attempt in attempts]


async def redeem(identity: Identity, address: str, code: str, email: str = ADA) -> Tokens:
    request = RedeemOneTimeCodeRequest(address=email, code=code)
    return await identity.auth.RedeemOneTimeCode(request, **at(address))


async def request_code(identity: Identity, address: str, email: str = ADA) -> str:
    await identity.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address=email), **at(address))
    return (await next_message()).code


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.0/24"),
        ("::ffff:198.51.100.7", "198.51.100.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix:/tmp/socket", ""),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address, ipv4_bits=rules.IPV4_BITS) == network


async def test_failures_in_one_network_do_not_delay_another_one(identity: Identity) -> None:
    await identity.sign_up("Uma")
    assert (await fail(identity, HOME, 7))[-1] == "SIGN_IN_RATE_LIMITED"
    # Another address of the same network does not start again.
    error = await expect_error(sign_in(identity, "198.51.100.200"))
    assert error.reason == "SIGN_IN_RATE_LIMITED"
    await sign_in(identity, SCHOOL)


async def test_only_the_gateway_states_the_network(identity: Identity) -> None:
    await identity.sign_up("Uma")
    other = type(identity.auth)(identity.service.channel("chat_service"))
    wrong = SignInRequest(identifier="Uma", password="wrong" * 4)
    reasons = [
        (await expect_error(other.SignIn(wrong, **at(f"198.51.{number}.7")))).reason for number in range(6)
    ]
    assert reasons[-1] == "SIGN_IN_RATE_LIMITED"


async def test_many_networks_share_the_limit_of_the_name(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    networks = [f"203.0.{number}.1" for number in range(25)]
    for network in networks:
        assert await fail(identity, network, 4) == ["CREDENTIALS_INVALID"] * 4
    error = await expect_error(sign_in(identity, HOME))
    assert error.reason == "SIGN_IN_RATE_LIMITED"
    wait = error.detail(RetryInfo).retry_delay.ToTimedelta()
    assert timedelta(hours=23) < wait <= rules.DELAY_OF_NAME
    # A device on which the user has signed in before is admitted.
    await sign_in(identity, HOME, refresh_token=uma.tokens.refresh_token)
    assert (await expect_error(sign_in(identity, HOME))).reason == "SIGN_IN_RATE_LIMITED"
    identity.execute_sql("UPDATE sign_in_failures SET failed_at = failed_at - interval '1 day'")
    await sign_in(identity, HOME)


async def test_a_known_device_is_not_delayed_by_failures_in_its_network(identity: Identity) -> None:
    uma, eve = await identity.sign_up("Uma"), await identity.sign_up("Eve")
    await fail(identity, HOME, 6)
    for token in ("", "a.b.c", eve.tokens.refresh_token, f"{uma.tokens.refresh_token}x"):
        error = await expect_error(sign_in(identity, HOME, refresh_token=token))
        assert error.reason == "SIGN_IN_RATE_LIMITED"
    old = uma.tokens.refresh_token
    await identity.refresh(uma)
    identity.execute_sql("UPDATE sign_ins SET expires_at = now() - interval '1 hour'")
    await sign_in(identity, HOME, refresh_token=old)


async def test_a_known_device_has_limited_attempts_of_its_own(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    token = uma.tokens.refresh_token
    reasons = await fail(identity, HOME, FREE_ATTEMPTS + 1, refresh_token=token)
    assert Counter(reasons) == {"CREDENTIALS_INVALID": FREE_ATTEMPTS, "SIGN_IN_RATE_LIMITED": 1}
    # The network does not matter, because a thief of the token could change it.
    assert await fail(identity, SCHOOL, 1, refresh_token=token) == ["SIGN_IN_RATE_LIMITED"]
    await sign_in(identity, SCHOOL)


async def test_wrong_codes_of_a_stranger_do_not_invalidate_the_code(identity: Identity) -> None:
    code = await request_code(identity, HOME)
    for _ in range(FREE_ATTEMPTS):
        error = await expect_error(redeem(identity, SCHOOL, wrong_code(code)))
        assert error.reason == "CODE_INVALID"
    assert (await expect_error(redeem(identity, SCHOOL, code))).reason == "SIGN_IN_RATE_LIMITED"
    assert (await redeem(identity, HOME, code)).user.email == ADA


async def test_code_requests_of_a_stranger_do_not_block_those_of_the_owner(identity: Identity) -> None:
    for _ in range(code_rules.MAX_SENDS):
        await request_code(identity, SCHOOL)
    assert (await expect_error(request_code(identity, SCHOOL))).reason == "SIGN_IN_RATE_LIMITED"
    await redeem(identity, HOME, await request_code(identity, HOME))


async def test_an_address_receives_a_limited_number_of_codes(identity: Identity) -> None:
    for number in range(code_rules.MAX_SENDS_TO_ADDRESS):
        await request_code(identity, f"203.0.{number}.1")
    error = await expect_error(request_code(identity, HOME))
    assert error.reason == "SIGN_IN_RATE_LIMITED"
    await request_code(identity, HOME, "eve@example.org")


async def test_guesses_at_the_codes_of_many_addresses_are_limited(identity: Identity) -> None:
    emails = [f"p{number}@example.org" for number in range(code_rules.MAX_FAILURES_OF_NETWORK // 4 + 1)]
    reasons = [
        (await expect_error(redeem(identity, SCHOOL, "000000", email))).reason
        for email in emails
        for _ in range(4)
    ]
    assert Counter(reasons) == {
        "CODE_INVALID": code_rules.MAX_FAILURES_OF_NETWORK,
        "SIGN_IN_RATE_LIMITED": 4,
    }
    assert (await expect_error(redeem(identity, HOME, "000000", emails[0]))).reason == "CODE_INVALID"


def test_the_limit_of_a_network_ends_with_its_window() -> None:
    now = [0.0]
    limit = NetworkLimit(2, clock=lambda: now[0])

    def attempt(network: str, *, succeeds: bool = False) -> None:
        limit.check(network)
        limit.count_attempt(network)
        if succeeds:
            limit.uncount_attempt(network)

    for _ in range(5):
        attempt("a", succeeds=True)
    attempt("a")
    attempt("a")
    attempt("b")
    now[0] = WINDOW.total_seconds() - 1
    with pytest.raises(SignInRateLimited):
        attempt("a")
    now[0] += 1
    attempt("a")


async def test_one_network_cannot_fill_the_queue_of_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = ["a"]
    monkeypatch.setattr(throttle, "current_network", lambda: network[0])
    passwords = Passwords(1, b"a secret")
    passwords._queued["a"] = hashing._MAX_QUEUED_OF_NETWORK
    with pytest.raises(ServiceUnavailable):
        await passwords.hash(PASSWORD)
    network[0] = "b"
    await passwords.hash(PASSWORD)
    assert [*passwords._queued] == ["a"]
    await passwords.close()


@pytest.mark.parametrize("name", ["uma ", "ada@EXAMPLE.org"])
async def test_an_administrator_lifts_the_delays_of_a_user(identity: Identity, name: str) -> None:
    uma = await identity.sign_up("Uma")
    identity.execute_sql(
        "INSERT INTO login_identifiers (user_id, kind, value, canonical) VALUES (%s, 'EMAIL', %s, %s)",
        uma.user_id,
        ADA,
        ADA,
    )
    for tried in ("Uma", ADA):
        await fail(identity, HOME, 6, name=tried)
    code = await request_code(identity, HOME)
    for _ in range(FREE_ATTEMPTS):
        await expect_error(redeem(identity, HOME, wrong_code(code)))
    await fail(identity, HOME, 6, name="nobody")
    done = await run_command(identity.database_url, "unlock-user", name, secret=SECRET)
    assert (done.exit_code, uma.user_id in done.stdout) == (0, True)
    for tried in ("Uma", ADA):
        await sign_in(identity, HOME, name=tried)
    await redeem(identity, HOME, code)
    # The failures of the other name are still counted.
    [failures] = identity.read_column("SELECT failures FROM sign_in_failures")
    assert failures >= FREE_ATTEMPTS


async def test_unlocking_an_unknown_user_is_an_error(identity: Identity) -> None:
    done = await run_command(identity.database_url, "unlock-user", "nobody")
    assert (done.exit_code, done.stderr.strip()) == (
        1,
        "no user has this login name, e-mail address or phone number",
    )
