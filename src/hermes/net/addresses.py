"""Which hosts and addresses are public ones."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA gives out for the public IPv6 internet."""

_NOT_PUBLIC_V4 = (
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    IPv4Network("168.63.129.16/32"),  # Azure's wire server: public in form, answered by the machine's own host
)
_NOT_PUBLIC_V6 = (
    IPv6Network("2001::/23"),  # IETF protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
)

_NUMERIC_LABEL = re.compile(r"(?:[0-9]+|0[xX][0-9a-fA-F]*)\Z")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_MAX_HOST = 253


def is_public(address: Address) -> bool:
    """Whether an address is one on the public internet, and so is an IPv4 address that it carries inside."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        carried = _carried(address)
        if carried is not None:
            return is_public(carried)
        if address not in _GLOBAL_UNICAST or any(address in network for network in _NOT_PUBLIC_V6):
            return False
    elif any(address in network for network in _NOT_PUBLIC_V4):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def parse_host(host: str) -> Address | str:
    """A URL's host (ASCII, without brackets): an address, or a full host name in lower case without a final dot.

    Raises:
        ValueError: it is neither. An IPv4 address must be written as four decimal numbers: other spellings
            (`0x7f.1`, `2130706433`, `0177.0.0.1`) mean different things to different programs.
    """
    if "%" in host:
        raise ValueError("a zone is not for URLs")
    if ":" in host:
        return ip_address(host)
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if _NUMERIC_LABEL.match(labels[-1]):
        return IPv4Address(host)
    if len(labels) < 2 or len(host) > _MAX_HOST or not all(_LABEL.match(label) for label in labels):
        raise ValueError("not a full host name")
    return host
