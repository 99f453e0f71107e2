"""Where a request comes from: this machine, or a network whose clients need no key."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable

from aiohttp import web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_loopback(request: web.Request) -> bool:
    """Whether the request comes from this machine."""
    address = address_of(request.remote)
    return address is not None and address.is_loopback


@functools.lru_cache(maxsize=1024)
def address_of(text: str | None) -> Address | None:
    """Return an address; an IPv4 address in IPv6 clothes is the IPv4 address."""
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@functools.lru_cache(maxsize=1024)
def network_of(text: str) -> str:
    """Return what stands for whoever has an address: of IPv6 they have the whole /64."""
    address = address_of(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class Networks:
    """Networks, parsed once. Raises ``ValueError`` when one cannot be read."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def hold(self, request: web.Request) -> bool:
        """Whether the request comes from one of them."""
        address = address_of(request.remote) if self._networks else None
        return address is not None and any(address in network for network in self._networks)
