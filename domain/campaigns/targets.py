"""Targets: where messages may be sent to.

Owns the refusal of addresses within the server's own network, which an account could else have the server talk to: a name is looked
up once, all of its addresses are judged, and the connection is made to one that was judged, not to the name again. Private
targets are allowed where whoever runs the server says so. Held by `tests/domain/campaigns/test_targets.py`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from domain.errors import ForbiddenTarget, Unavailable

LOOK_UP_SECONDS = 5.0

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


async def address_of(host: str, port: int, *, private: bool) -> str:
    """An address of the host. Raises `ForbiddenTarget`, and `Unavailable` where the name leads nowhere."""
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise Unavailable(f"The name {host} leads nowhere.") from None
    addresses = [str(each[4][0]) for each in found]
    if not private and not all(map(is_public, addresses)):
        raise ForbiddenTarget(f"{host} is within the network of this server, and nothing is sent there.")
    return addresses[0]


def is_public(text: str) -> bool:
    """Whether an address is one of the open internet, also where it stands within another one."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and address.teredo is not None:
            inner = address.teredo[1]
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast
