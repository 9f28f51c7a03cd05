"""Decides which URLs a service may call: public hosts, and private hosts that an operator has allow-listed.

An administrator may enter URLs, but must not get access to everything that the service can reach: databases,
other services, the metadata server of a cloud. This module checks the text of a URL. It is strict, so that no
two parsers interpret an accepted URL differently. `safe_http` checks the addresses of a host when it connects.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

PORTS = {"http": 80, "https": 443}
"""The default ports of the schemes."""

_LABEL = r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?"
_URL = re.compile(
    r"(?P<scheme>(?i:https?))://"
    rf"(?P<host>(?i:\[[0-9a-f:.]+\]|{_LABEL}(?:\.{_LABEL})*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:%-]*)*",
    re.ASCII,
)
# Resolvers interpret such hosts as IPv4 addresses: 127.1, 0x7f.1, 2130706433.
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_PRIVATE_TOP_LEVEL_DOMAINS = frozenset(
    {"arpa", "internal", "intranet", "lan", "local", "localdomain", "localhost"}
)
# NAT64 (RFC 6052): the last 32 bits are an IPv4 address.
_NAT64 = IPv6Network("64:ff9b::/96")
# Metadata servers of clouds have these addresses, which Python considers global.
_CLOUD_METADATA_NETWORKS = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
_MAX_HOST_CHARACTERS = 253
_MAX_PORT = 65_535


class UrlNotAllowed(ValueError):
    """A URL that a service must not call. The text states the rule and is used in field errors."""


class Endpoint(NamedTuple):
    """The target of a URL."""

    scheme: str
    host: str
    """In lower case. An IPv6 address has no brackets."""
    port: int


def check(url: str, private_hosts: frozenset[str]) -> Endpoint:
    """Returns the endpoint of a URL that a service may call. Raises UrlNotAllowed.

    `private_hosts` are allow-listed as `host` or `host:port`. They may have private addresses and no TLS.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise UrlNotAllowed(
            "must have the form https://api.example.com/v1, with an ASCII host and without user, query or fragment"
        )
    scheme = match["scheme"].lower()
    endpoint = Endpoint(scheme, match["host"].lower().strip("[]"), int(match["port"] or PORTS[scheme]))
    if not 0 < endpoint.port <= _MAX_PORT or len(endpoint.host) > _MAX_HOST_CHARACTERS:
        raise UrlNotAllowed("has an invalid host or port")
    if not is_allowlisted(endpoint, private_hosts):
        _check_public(endpoint)
    return endpoint


def is_allowlisted(endpoint: Endpoint, private_hosts: frozenset[str]) -> bool:
    """Returns whether an operator has allow-listed the host: with its port, or without the default port."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    names = {f"{host}:{endpoint.port}"}
    if endpoint.port == PORTS[endpoint.scheme]:
        names.add(host)
    return not names.isdisjoint(private_hosts)


def is_global(address: str) -> bool:
    """Returns whether an IP address is public. An IPv4 address inside of an IPv6 address must be public too."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        if ip.scope_id is not None or ip.is_site_local:
            return False
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            ip = inner
    special = ip.is_multicast or ip.is_reserved or ip.is_link_local or ip.is_unspecified
    return ip.is_global and not special and not any(ip in network for network in _CLOUD_METADATA_NETWORKS)


def _check_public(endpoint: Endpoint) -> None:
    if endpoint.scheme != "https":
        raise UrlNotAllowed(
            "must begin with https, unless the host is allow-listed in MENO_PRIVATE_MODEL_HOSTS"
        )
    if not _is_public_host(endpoint.host):
        raise UrlNotAllowed("resolves to a private address; allow-list it in MENO_PRIVATE_MODEL_HOSTS")


def _is_public_host(host: str) -> bool:
    """Returns whether a host can be public, judged by its text. Raises UrlNotAllowed for an unusual IP address."""
    if ":" in host or _ENDS_IN_NUMBER.fullmatch(host):
        try:
            return is_global(str(IPv6Address(host) if ":" in host else IPv4Address(host)))
        except AddressValueError as error:
            raise UrlNotAllowed("must contain an IP address in its standard form") from error
    return "." in host and host.rpartition(".")[2] not in _PRIVATE_TOP_LEVEL_DOMAINS
