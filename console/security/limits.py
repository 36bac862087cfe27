"""How often somebody may try to log in."""

from __future__ import annotations

import ipaddress

from db.logins import Limits

LIMITS = Limits()


def network_of(address: str) -> str:
    """Return what attempts are counted for: an IPv4 address; of IPv6 the /64 that a site has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
