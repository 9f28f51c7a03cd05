"""The stack issues certificates that all services trust, and replaces them before they expire."""

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


def _serial_numbers(stack: Stack) -> set[int]:
    """Returns the serial numbers, and asserts that every service trusts every certificate."""
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
def expiring(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The serial numbers of certificates that expire soon."""
    with monkeypatch.context() as then:
        then.setattr(certificates, "VALIDITY", timedelta(days=29))
        stack.issue_certificates()
    return _serial_numbers(stack)


def test_long_lived_certificates_are_kept(stack: Stack) -> None:
    stack.issue_certificates()
    issued = _serial_numbers(stack)
    stack.issue_certificates()
    assert _serial_numbers(stack) == issued


def test_certificates_about_to_expire_are_replaced(stack: Stack, expiring: set[int]) -> None:
    stack.issue_certificates()
    assert _serial_numbers(stack).isdisjoint(expiring)


@pytest.mark.parametrize("missing", ["ca.pem", "cert.pem", "key.pem"])
def test_all_certificates_are_replaced_if_a_file_is_missing(stack: Stack, missing: str) -> None:
    stack.issue_certificates()
    issued = _serial_numbers(stack)
    (stack.layout.tls("session_service") / missing).unlink()
    stack.issue_certificates()
    assert _serial_numbers(stack).isdisjoint(issued)


def test_certificates_are_kept_if_the_disk_is_full(stack: Stack, expiring: set[int]) -> None:
    with local_stack.full_disk(), pytest.raises(OSError, match="File too large"):
        stack.issue_certificates()
    assert _serial_numbers(stack) == expiring
    stack.issue_certificates()
    assert _serial_numbers(stack).isdisjoint(expiring)
