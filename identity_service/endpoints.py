"""Where this service may connect to on an operator's word: over TLS, or on its own machine."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def https(url: str) -> str:
    """The URL, if it is https, or http on this machine. Raises ValueError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.scheme not in ("https", "http") or parts.username or parts.fragment:
        raise ValueError("is an https:// URL without user and fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("is an https:// URL; http:// is for this machine alone")
    return url
