"""Whoever starts has a certificate that lasts, and one that the others trust."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from chassis import certificates
from deploy.stack.layout import SERVICES, Layout, choose_ports
from deploy.stack.stack import GATEWAY, Stack
from tests import local_stack

NAMES = (*SERVICES, GATEWAY)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    layout = Layout(tmp_path, local_stack.free_port())
    return Stack(layout, choose_ports(layout))


def _issued(stack: Stack) -> set[int]:
    """The serial numbers; whoever has a certificate is trusted by all."""
    authorities = [_read(stack.layout.tls(name) / "ca.pem") for name in NAMES]
    issued = [_read(stack.layout.tls(name) / "cert.pem") for name in NAMES]
    for certificate in issued:
        for authority in authorities:
            certificate.verify_directly_issued_by(authority)
    assert all((stack.layout.tls(name) / "key.pem").exists() for name in NAMES)
    return {certificate.serial_number for certificate in issued}


def _read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


@pytest.fixture
def soon_over(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """What was issued long ago."""
    with monkeypatch.context() as then:
        then.setattr(certificates, "VALID_FOR", timedelta(days=29))
        stack.issue_certificates()
    return _issued(stack)


def test_certificates_that_last_are_kept(stack: Stack) -> None:
    stack.issue_certificates()
    issued = _issued(stack)
    stack.issue_certificates()
    assert _issued(stack) == issued


def test_certificates_that_end_soon_are_issued_anew(stack: Stack, soon_over: set[int]) -> None:
    stack.issue_certificates()
    assert _issued(stack).isdisjoint(soon_over)


@pytest.mark.parametrize("missing", ["ca.pem", "cert.pem", "key.pem"])
def test_all_are_issued_anew_when_one_file_is_missing(stack: Stack, missing: str) -> None:
    stack.issue_certificates()
    issued = _issued(stack)
    (stack.layout.tls("session_service") / missing).unlink()
    stack.issue_certificates()
    assert _issued(stack).isdisjoint(issued)


def test_issuing_that_a_full_disk_breaks_off_leaves_those_that_were_there(
    stack: Stack, soon_over: set[int]
) -> None:
    with local_stack.full_disk(), pytest.raises(OSError, match="File too large"):
        stack.issue_certificates()
    assert _issued(stack) == soon_over
    stack.issue_certificates()
    assert _issued(stack).isdisjoint(soon_over)
