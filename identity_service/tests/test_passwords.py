"""Which passwords may be set, and what is said of those that may not."""

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
from identity_service.sign_in.passwords.blocklist import Blocklist, Digests
from identity_service.sign_in.passwords.breaches import Breaches
from identity_service.sign_in.passwords.hashing import Passwords

FINE = "a long walk in the rain"
STOLEN = "nobody else has this one"

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
def test_a_weak_password_is_refused_with_its_rule(password: str, rule: str) -> None:
    found = rules.weakness(password, *KNOWN)
    assert found is not None
    assert found.rule == rule


@pytest.mark.parametrize(
    "password",
    [
        *(FINE, STOLEN, "vier müde Esel am Zaun", "परीक्षा कल सुबह नौ बजे है", "kX7-qp2-Zt9-bb4"),
        *("Anna prefers her tea cold", "the password is under the mat", "ninety-nine rusty tractors"),
    ],
)
def test_whatever_else_it_is_made_of_a_password_may_be_set(password: str) -> None:
    assert rules.weakness(password, *KNOWN) is None
    assert password not in Blocklist()


def test_what_is_known_of_others_matters_to_nobody() -> None:
    assert rules.weakness("annalarsson1987") is None


@settings(max_examples=30)
@given(st.integers(15, 200))
def test_chance_makes_no_weak_password(length: int) -> None:
    assert rules.weakness(secrets.token_urlsafe(length)[:length], *KNOWN) is None


@given(st.text("abcdefg1234@. ", min_size=15, max_size=60))
def test_case_makes_no_password_stronger(password: str) -> None:
    assert rules.weakness(password.upper(), *KNOWN) == rules.weakness(password, *KNOWN)


@given(st.text(st.characters(categories=["L", "N"]), min_size=3, max_size=20), st.integers(1, 9))
def test_a_name_alone_is_weak_however_often_it_is_said(name: str, times: int) -> None:
    assert rules.weakness(name * times, name) is not None


def test_every_line_of_the_shipped_list_refuses_what_no_rule_does() -> None:
    lines = (files("identity_service.sign_in.passwords") / "common.txt").read_text().splitlines()
    assert len(lines) > 300
    assert len({rules.compared(line) for line in lines}) == len(lines)
    assert [line for line in lines if len(line) < rules.LEAST or rules.weakness(line)] == []
    blocklist = Blocklist()
    assert [line for line in lines if line not in blocklist] == []


@pytest.mark.parametrize(
    "password",
    ["To be, or not to be...", "T0B30RN0TT0B3!", "tobeornottobe2024", "*** TO BE OR NOT TO BE ***"],
)
def test_a_listed_password_is_recognised_however_it_is_written(password: str) -> None:
    assert password in Blocklist()


def test_an_operators_file_has_passwords_and_digests(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    digests = [hashlib.sha1(text.encode()).hexdigest() for text in ("Told Exactly So", STOLEN)]
    path.write_text(f"our school has a river\n\n  {digests[0]}\n{digests[1].upper()}:37\n")
    blocklist = Blocklist(path)
    refused = ["Our school has a river!", "Told Exactly So", STOLEN]
    assert [password in blocklist for password in refused] == [True] * 3
    assert [password in blocklist for password in (FINE, "told exactly so")] == [False] * 2


@given(st.lists(st.binary(min_size=20, max_size=20)), st.binary(min_size=20, max_size=20))
def test_digests_hold_what_they_were_given(given_: list[bytes], other: bytes) -> None:
    digests = Digests(given_)
    assert all(digest in digests for digest in given_)
    assert (other in digests) == (other[:8] in {digest[:8] for digest in given_})
    assert len(digests) == len({digest[:8] for digest in given_})


class Range:
    """A server of the range API, which knows one stolen password."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.asked: list[str] = []
        digits = hashlib.sha1(STOLEN.encode()).hexdigest().upper()
        fills_up = hashlib.sha1(FINE.encode()).hexdigest().upper()[5:]
        self._body = f"{fills_up}:0\r\n{'0' * 35}:2\r\n{digits[5:]}:12\r\n"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        length = f"content-length: {len(self._body)}\r\nconnection: close\r\n\r\n"
        if self.status:
            writer.write(f"HTTP/1.1 {self.status}\r\n{length}{self._body}".encode())
        else:
            await reader.read()
        writer.close()


@pytest_asyncio.fixture
async def known() -> AsyncIterator[tuple[Range, str]]:
    """Stolen passwords, and where to ask for them."""
    stolen = Range()
    server = await asyncio.start_server(stolen.answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield stolen, f"http://127.0.0.1:{port}/range/"


async def test_a_stolen_password_is_refused_and_not_told(known: tuple[Range, str]) -> None:
    stolen, url = known
    passwords = Passwords(1, b"a secret", breaches=url)
    with pytest.raises(PasswordBreached):
        await passwords.check(STOLEN)
    await passwords.check(FINE)
    for asked, password in zip(stolen.asked, (STOLEN, FINE), strict=True):
        digits = hashlib.sha1(password.encode()).hexdigest().upper()
        assert asked.startswith(f"GET /range/{digits[:5]} HTTP/1.1\r\n")
        assert digits[5:] not in asked.upper()
    await passwords.close()


@pytest.mark.parametrize("status", ["503 Service Unavailable", "404 Not Found", ""])
async def test_a_password_passes_where_nobody_knows_what_is_stolen(
    known: tuple[Range, str], status: str
) -> None:
    stolen, url = known
    stolen.status = status
    with capture_logs() as logged:
        breaches = Breaches(url, patience=2.0 if status else 0.05)
        assert not await breaches.has(STOLEN)
        await breaches.close()
    [line] = logged
    assert (line["event"], line["log_level"]) == ("breached_passwords_not_asked", "warning")
    assert not any(digits in str(line) for digits in (STOLEN, url))


async def test_a_weak_password_is_told_to_nobody(known: tuple[Range, str]) -> None:
    stolen, url = known
    passwords = Passwords(1, b"a secret", breaches=url)
    for password in ("passwordpassword", "to be or not to be"):
        with pytest.raises(PasswordCommon):
            await passwords.check(password)
    assert stolen.asked == []
    await passwords.close()
