"""Rules and lists that reject weak passwords."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from identity_service.errors import PasswordBreached, PasswordCommon
from identity_service.sign_in.passwords import rules
from identity_service.sign_in.passwords.blocklist import Blocklist, DigestSet
from identity_service.sign_in.passwords.breaches import BreachList
from identity_service.sign_in.passwords.hashing import Passwords

STRONG = "a long walk in the rain"
BREACHED = "nobody else has this one"

WEAK = [
    ("passwordpassword", "COMMON"),
    ("P@ssw0rd-P4$$word", "COMMON"),
    ("WelcomeWelcome24", "COMMON"),
    ("admin secret login", "COMMON"),
    ("aaaaaaaaaaaaaaaa", "REPETITION"),
    ("abababababababababab", "REPETITION"),
    ("wrongwrongwrongwrong", "REPETITION"),
    ("summer-2024-summer-2024", "REPETITION"),
    ("ab12ba21ab12ba2a1b", "REPETITION"),
    ("abcdefghijklmnopq", "SEQUENCE"),
    ("987654321098765432", "SEQUENCE"),
    ("aabbccddeeffgghhii", "SEQUENCE"),
    ("qwertzuiopasdfghjkl", "SEQUENCE"),
    ("1qaz2wsx3edc4rfv", "SEQUENCE"),
    ("anna.larsson1987", "PERSONAL"),
    ("Larsson-Ann4-2024", "PERSONAL"),
    ("@example.org@example.org", "PERSONAL"),
]
KNOWN = ("anna87", "a.larsson@example.org", "Anna Larsson")


@pytest.mark.parametrize(("password", "rule"), WEAK)
def test_a_weak_password_is_rejected_with_its_rule(password: str, rule: str) -> None:
    found = rules.find_weakness(password, *KNOWN)
    assert found is not None
    assert found.rule == rule


@pytest.mark.parametrize(
    "password",
    [
        *(STRONG, BREACHED, "vier müde Esel am Zaun", "परीक्षा कल सुबह नौ बजे है", "kX7-qp2-Zt9-bb4"),
        *("Anna prefers her tea cold", "the password is under the mat", "ninety-nine rusty tractors"),
    ],
)
def test_other_passwords_are_accepted_in_any_language(password: str) -> None:
    assert rules.find_weakness(password, *KNOWN) is None
    assert password not in Blocklist()


def test_names_of_other_users_are_not_personal() -> None:
    assert rules.find_weakness("annalarsson1987") is None


@settings(max_examples=30)
@given(st.integers(15, 200))
def test_random_passwords_are_not_weak(length: int) -> None:
    assert rules.find_weakness(secrets.token_urlsafe(length)[:length], *KNOWN) is None


@given(st.text("abcdefg1234@. ", min_size=15, max_size=60))
def test_upper_case_does_not_make_a_password_stronger(password: str) -> None:
    assert rules.find_weakness(password.upper(), *KNOWN) == rules.find_weakness(password, *KNOWN)


@given(st.text(st.characters(categories=["L", "N"]), min_size=3, max_size=20), st.integers(1, 9))
def test_a_repeated_name_is_weak(name: str, times: int) -> None:
    assert rules.find_weakness(name * times, name) is not None


def test_the_bundled_list_contains_only_passwords_that_no_rule_rejects() -> None:
    lines = (files("identity_service.sign_in.passwords") / "common.txt").read_text().splitlines()
    assert len(lines) > 300
    assert len({rules.normalize(line) for line in lines}) == len(lines)
    assert [line for line in lines if len(line) < rules.MIN_LENGTH or rules.find_weakness(line)] == []
    blocklist = Blocklist()
    assert [line for line in lines if line not in blocklist] == []


@pytest.mark.parametrize(
    "password",
    ["To be, or not to be...", "T0B30RN0TT0B3!", "tobeornottobe2024", "*** TO BE OR NOT TO BE ***"],
)
def test_a_listed_password_is_recognised_with_other_case_and_punctuation(password: str) -> None:
    assert password in Blocklist()


def test_the_file_of_an_operator_may_contain_passwords_and_digests(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    digests = [hashlib.sha1(text.encode()).hexdigest() for text in ("Told Exactly So", BREACHED)]
    path.write_text(f"our school has a river\n\n  {digests[0]}\n{digests[1].upper()}:37\n")
    blocklist = Blocklist(path)
    rejected = ["Our school has a river!", "Told Exactly So", BREACHED]
    assert [password in blocklist for password in rejected] == [True] * 3
    assert [password in blocklist for password in (STRONG, "told exactly so")] == [False] * 2


@given(st.lists(st.binary(min_size=20, max_size=20)), st.binary(min_size=20, max_size=20))
def test_a_digest_set_contains_exactly_its_digests(members: list[bytes], other: bytes) -> None:
    digests = DigestSet(members)
    assert all(digest in digests for digest in members)
    assert (other in digests) == (other[:8] in {digest[:8] for digest in members})
    assert len(digests) == len({digest[:8] for digest in members})


class RangeApi:
    """A server of the range API that contains one breached password."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.requests: list[str] = []
        digits = hashlib.sha1(BREACHED.encode()).hexdigest().upper()
        padding = hashlib.sha1(STRONG.encode()).hexdigest().upper()[5:]
        self._body = f"{padding}:0\r\n{'0' * 35}:2\r\n{digits[5:]}:12\r\n"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        length = f"content-length: {len(self._body)}\r\nconnection: close\r\n\r\n"
        if self.status:
            writer.write(f"HTTP/1.1 {self.status}\r\n{length}{self._body}".encode())
        else:
            await reader.read()
        writer.close()


@pytest_asyncio.fixture
async def range_api() -> AsyncIterator[tuple[RangeApi, str]]:
    """A range API and its URL."""
    api = RangeApi()
    server = await asyncio.start_server(api.answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield api, f"http://127.0.0.1:{port}/range/"


async def test_a_breached_password_is_rejected_and_not_sent(range_api: tuple[RangeApi, str]) -> None:
    api, url = range_api
    passwords = Passwords(1, b"a secret", breaches=url)
    with pytest.raises(PasswordBreached):
        await passwords.check(BREACHED)
    await passwords.check(STRONG)
    for request, password in zip(api.requests, (BREACHED, STRONG), strict=True):
        digits = hashlib.sha1(password.encode()).hexdigest().upper()
        assert request.startswith(f"GET /range/{digits[:5]} HTTP/1.1\r\n")
        assert digits[5:] not in request.upper()
    await passwords.close()


@pytest.mark.parametrize("status", ["503 Service Unavailable", "404 Not Found", ""])
async def test_a_password_is_accepted_if_the_range_api_fails(
    range_api: tuple[RangeApi, str], status: str
) -> None:
    api, url = range_api
    api.status = status
    with capture_logs() as logged:
        breaches = BreachList(url, timeout_seconds=2.0 if status else 0.05)
        assert not await breaches.contains(BREACHED)
        await breaches.close()
    [line] = [one for one in logged if one["event"] == "breached_passwords_not_checked"]
    assert line["log_level"] == "warning"
    assert not any(digits in str(line) for digits in (BREACHED, url))


async def test_a_weak_password_is_not_sent_to_the_range_api(range_api: tuple[RangeApi, str]) -> None:
    api, url = range_api
    passwords = Passwords(1, b"a secret", breaches=url)
    for password in ("passwordpassword", "to be or not to be"):
        with pytest.raises(PasswordCommon):
            await passwords.check(password)
    assert api.requests == []
    await passwords.close()
