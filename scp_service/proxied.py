"""Who calls by way of a load balancer: the PROXY protocol's header, versions 1 and 2.

A balancer opens a connection of its own to us, so its address would stand where the sender's
belongs. It therefore says first whom it forwards (haproxy.org, proxy-protocol.txt): by version 1 in
a line of text, by version 2 in binary. Nothing of what follows the header is read here.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable

from settings.fields import Network, is_this_machine

Address = tuple[str, int] | tuple[str, int, int, int]

_SIGNATURE_1 = b"PROXY "
_SIGNATURE_2 = b"\r\n\r\n\0\r\nQUIT\n"
_LEAST = 15
"""In bytes: no header of either version is shorter ("PROXY UNKNOWN" and the end of its line)."""
_LONGEST_LINE = 107
_FIXED = struct.Struct(">12sBBH")
"""Of version 2: signature, version and command, family and protocol, length of the rest."""
_LONGEST_REST = 4096
"""In bytes. Addresses need 36; the rest are fields of no use here."""
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21


class NotProxiedError(ValueError):
    """What a balancer sent first is no header of the PROXY protocol."""


def read(connection: socket.socket, data: bytearray) -> None:
    """Read on to the end of a header, of which `data` is what has been read.

    Raises:
        BlockingIOError: the rest has not come yet.
        OSError: the connection failed, or was closed.
        NotProxiedError: it is no header, or one that is longer than is taken.
    """
    while count := _missing(data):
        part = connection.recv(count)
        if not part:
            raise ConnectionResetError
        data += part


def _missing(data: bytearray) -> int:
    """Return how many bytes of a header may be read next; 0: it is whole."""
    if data[: len(_SIGNATURE_1)] == _SIGNATURE_1[: len(data)]:
        if data.endswith(b"\r\n"):
            return 0
        if len(data) >= _LONGEST_LINE:
            raise NotProxiedError
        return max(1, _LEAST - len(data))  # by single bytes at the end: the rest is not ours
    if data[: len(_SIGNATURE_2)] != _SIGNATURE_2[: len(data)]:
        raise NotProxiedError
    if len(data) < _FIXED.size:
        return _FIXED.size - len(data)
    *_, rest = _FIXED.unpack_from(data)
    if rest > _LONGEST_REST:
        raise NotProxiedError
    return _FIXED.size + int(rest) - len(data)


def sender(header: bytearray, balancer: str) -> Address | None:
    """Return the address that a whole header names; None where the balancer calls for itself.

    It does so for its health checks, and where it does not know the sender. A loopback address is
    that of its own machine: where that is another one, it is no address of ours.

    Args:
        header: what `read` has read.
        balancer: the address that it came from.

    Raises:
        NotProxiedError: it cannot be understood.
    """
    try:
        found = _of_line(header) if header.startswith(_SIGNATURE_1) else _of_binary(header)
    except (ValueError, struct.error):
        raise NotProxiedError from None
    if found and is_this_machine(found[0]) and not is_this_machine(balancer):
        return None
    return found


def _of_line(header: bytearray) -> Address | None:
    _, family, *parts = header[:-2].decode("ascii").split(" ")
    if family == "UNKNOWN":
        return None
    if family not in ("TCP4", "TCP6"):
        raise NotProxiedError
    source, _destination, port, _destination_port = parts
    address = (ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address)(source)
    return _address(address, int(port))


def _of_binary(header: bytearray) -> Address | None:
    _, command, family, _ = _FIXED.unpack_from(header)
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise NotProxiedError
    if family == _TCP4:
        source, _, port = struct.unpack_from(">4s4sH", header, _FIXED.size)
        return _address(ipaddress.IPv4Address(source), port)
    if family == _TCP6:
        source, _, port = struct.unpack_from(">16s16sH", header, _FIXED.size)
        return _address(ipaddress.IPv6Address(source), port)
    return None


def _address(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> Address:
    if not 0 <= port <= 65_535:
        raise NotProxiedError
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(address), port, 0, 0
        address = address.ipv4_mapped
    return str(address), port


class Balancers:
    """Whose connections begin with a header.

    Args:
        networks: their addresses, or the networks that they are in.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]

    def __contains__(self, host: object) -> bool:
        """Tell whether this address is a balancer's."""
        address = ipaddress.ip_address(str(host))
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)

    def announces(self, connection: socket.socket, host: str) -> bool:
        """Tell whether what a balancer sends begins with a header.

        It does, but for the health check of this machine, where a balancer may run too.

        Raises:
            BlockingIOError: nothing has come yet.
            OSError: the connection failed.
        """
        if not is_this_machine(host):
            return True
        begin = connection.recv(1, socket.MSG_PEEK)
        return begin in (_SIGNATURE_1[:1], _SIGNATURE_2[:1], b"")
