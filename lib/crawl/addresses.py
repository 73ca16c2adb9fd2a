"""Connects only to addresses that may be asked: a name is resolved, every address it has is checked, and the connection
goes to the very address that was checked, so that a name cannot be turned to another one in between (DNS rebinding)."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpcore

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]
# Not private to every Python 3.11, and still none of ours to ask: shared address space (RFC 6598), protocol assignments
# (RFC 6890), 6to4 relays (RFC 7526); site-local (RFC 3879), local NAT64 (RFC 8215), documentation (RFC 9637).
_REFUSED = tuple(
    ip_network(network)
    for network in ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "64:ff9b:1::/48", "3fff::/20")
)
# IPv6 networks in whose addresses an IPv4 one is embedded: NAT64 (RFC 6052) in the last, 6to4 in the middle bits.
_NAT64 = ip_network("64:ff9b::/96")


class AddressRefusedError(Exception):
    """A host that has no address the crawl may connect to."""


class UnknownNameError(httpcore.ConnectError):
    """A host whose name has no address at all."""


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of the host."""
    if _is_address(host):
        return [host]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_allowed(text: str, *, allow_loopback: bool) -> bool:
    """Whether an address may be connected to: public ones, and loopback where that is allowed."""
    address = _embedded(ip_address(text.partition("%")[0]))
    if address.is_loopback:
        return allow_loopback
    refused = any(address in network for network in _REFUSED)
    return address.is_global and not refused and not address.is_multicast and not address.is_reserved


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """httpcore's connections, to checked addresses only. TLS still verifies the host's name: httpcore sees to it."""

    def __init__(self, *, allow_loopback: bool, resolver: Resolver = resolve) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._allow_loopback, self._resolver = allow_loopback, resolver

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first allowed address that answers.

        Raises:
            AddressRefusedError: the host has none.
            UnknownNameError: it cannot be resolved.
            httpcore.ConnectError, httpcore.ConnectTimeout: none answers.
        """
        allowed = await self._allowed(host, port, timeout)
        for place, address in enumerate(allowed, start=1):
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(allowed):
                    raise
        raise AddressRefusedError(host)

    async def _allowed(self, host: str, port: int, timeout: float | None) -> list[str]:
        """The addresses of the host that may be connected to."""
        try:
            async with asyncio.timeout(timeout):
                found = await self._resolver(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout("resolving took too long") from None
        except (OSError, UnicodeError):
            raise UnknownNameError from None
        return [one for one in found if is_allowed(one, allow_loopback=self._allow_loopback)]

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002 httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Never: pages do not lie behind sockets of this machine."""
        raise AddressRefusedError(path)

    async def sleep(self, seconds: float) -> None:
        """As httpcore's own."""
        await self._backend.sleep(seconds)
