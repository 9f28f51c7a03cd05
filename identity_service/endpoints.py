"""URLs that an operator configures: the service connects to them over TLS, or to its own machine."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Returns whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_https(url: str) -> str:
    """Returns the URL. Raises ValueError if it is neither https nor http on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.scheme not in ("https", "http") or parts.username or parts.fragment:
        raise ValueError("must be an https:// URL without user name and fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must be an https:// URL; http:// is permitted only for this machine")
    return url
