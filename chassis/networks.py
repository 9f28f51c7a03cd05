"""Networks of clients. One client can use any address of its network."""

from ipaddress import IPv6Address, ip_address, ip_network

_IPV6_BITS = 64


def network_of(address: str, *, ipv4_bits: int = 32) -> str:
    """Returns the network of an IPv4 address with this prefix length, or the /64 of an IPv6 address.

    Returns an empty text if the address is unknown.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ip_network((ip, _IPV6_BITS if ip.version == 6 else ipv4_bits), strict=False))
