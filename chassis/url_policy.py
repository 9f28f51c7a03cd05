"""Where a model may be: outside of the house, but for the hosts that an operator names.

Who may write an address is not always who may reach what the service reaches: databases, other
services, what a cloud tells its machines. An address is judged as it is written, strictly, so that no
two readers understand it differently; the host's own addresses are judged when it is connected to.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

PORTS = {"http": 80, "https": 443}
"""Of the schemes."""

_LABEL = r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?"
_URL = re.compile(
    r"(?P<scheme>(?i:https?))://"
    rf"(?P<host>(?i:\[[0-9a-f:.]+\]|{_LABEL}(?:\.{_LABEL})*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:%-]*)*",
    re.ASCII,
)
# Resolvers read these as numbers of an address: 127.1, 0x7f.1, 2130706433.
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_NAMES_INSIDE = frozenset({"arpa", "internal", "intranet", "lan", "local", "localdomain", "localhost"})
_TRANSLATED = IPv6Network("64:ff9b::/96")
# What clouds tell their machines is at addresses that are registered like any other.
_OF_CLOUDS = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
_MAX_NAME = 253
_MAX_PORT = 65_535


class AddressRefused(ValueError):
    """What is wrong with an address, for who wrote it."""


class Endpoint(NamedTuple):
    """Where an address leads."""

    scheme: str
    host: str
    """In lower case, an IPv6 address without brackets."""
    port: int


def check(url: str, private_hosts: frozenset[str]) -> Endpoint:
    """Where an address leads, if a service may go there. Raises AddressRefused.

    `private_hosts` are those that it may go to wherever they are, and without TLS: `host` or `host:port`.
    """
    written = _URL.fullmatch(url)
    if written is None:
        raise AddressRefused(
            "must be like https://api.example.com/v1: a host in ASCII, no name or password, no ? and no #"
        )
    scheme = written["scheme"].lower()
    place = Endpoint(scheme, written["host"].lower().strip("[]"), int(written["port"] or PORTS[scheme]))
    if not 0 < place.port <= _MAX_PORT or len(place.host) > _MAX_NAME:
        raise AddressRefused("has no port or host that can be")
    if not is_allowlisted(place, private_hosts):
        _check_outside(place)
    return place


def is_allowlisted(place: Endpoint, private_hosts: frozenset[str]) -> bool:
    """Whether an operator has named the host, with its port or, for the scheme's own port, without."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    names = {f"{host}:{place.port}"}
    if place.port == PORTS[place.scheme]:
        names.add(host)
    return not names.isdisjoint(private_hosts)


def is_global(address: str) -> bool:
    """Whether an IP address is one of the public internet, in whatever other address it is wrapped."""
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.scope_id is not None or found.is_site_local:
            return False
        inner = found.ipv4_mapped or found.sixtofour
        if found in _TRANSLATED:
            inner = IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            found = inner
    special = found.is_multicast or found.is_reserved or found.is_link_local or found.is_unspecified
    return found.is_global and not special and not any(found in network for network in _OF_CLOUDS)


def _check_outside(place: Endpoint) -> None:
    if place.scheme != "https":
        raise AddressRefused("must begin with https, but for hosts that MENO_PRIVATE_MODEL_HOSTS names")
    if not _may_be_outside(place.host):
        raise AddressRefused("leads into the house; an operator names such hosts in MENO_PRIVATE_MODEL_HOSTS")


def _may_be_outside(host: str) -> bool:
    """Whether a host is one of the public internet, as far as its name tells."""
    if ":" in host or _ENDS_IN_NUMBER.fullmatch(host):
        try:
            return is_global(str(IPv6Address(host) if ":" in host else IPv4Address(host)))
        except AddressValueError as error:
            raise AddressRefused("is no IP address as it is usually written") from error
    return "." in host and host.rpartition(".")[2] not in _NAMES_INSIDE
