"""How many associations the processes of one listener have, and of which hosts.

Each process writes a part of a piece of shared memory, and reads the others'. Nothing is locked: a
figure is some milliseconds old at most, so that two processes that let somebody in at the same
moment may exceed a limit by one.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from ipaddress import ip_address

_COUNTS = struct.Struct("<II")  # connections that are attended to; associations among them
_HOST = struct.Struct("16s")


class Census:
    """What the processes of a listener know of each other; made before they part.

    Args:
        processes: how many there are.
        most: how many associations one of them can have.
    """

    def __init__(self, processes: int, most: int) -> None:
        self.processes = processes
        self._most = most
        self._part = _COUNTS.size + most * _HOST.size
        self._memory = mmap.mmap(-1, processes * self._part)

    def tell(self, place: int, connections: int, hosts: Sequence[str]) -> None:
        """Say how many connections a process attends to, and the hosts of its associations."""
        start = place * self._part
        for number, host in enumerate(hosts[: self._most]):
            _HOST.pack_into(self._memory, start + _COUNTS.size + number * _HOST.size, _packed(host))
        _COUNTS.pack_into(self._memory, start, connections, min(len(hosts), self._most))

    def forget(self, place: int) -> None:
        """Take back what a process said that has ended."""
        self.tell(place, 0, ())

    def elsewhere(self, place: int, host: str) -> tuple[int, int]:
        """Return how many associations the other processes have, and how many of them of a host."""
        total = of_host = 0
        wanted = _packed(host)
        for other in self._others(place):
            _, count = self._counts(other)
            start = other * self._part + _COUNTS.size
            hosts = self._memory[start : start + count * _HOST.size]
            total += count
            of_host += sum(each == wanted for (each,) in _HOST.iter_unpack(hosts))
        return total, of_host

    def least_busy_elsewhere(self, place: int) -> int:
        """Return how many connections the other process has that has fewest."""
        return min(self._counts(other)[0] for other in self._others(place))

    def _others(self, place: int) -> list[int]:
        return [other for other in range(self.processes) if other != place]

    def _counts(self, place: int) -> tuple[int, int]:
        connections, count = _COUNTS.unpack_from(self._memory, place * self._part)
        return int(connections), int(count)


def _packed(host: str) -> bytes:
    """Return an address as 16 bytes."""
    return ip_address(host.partition("%")[0]).packed.rjust(16, b"\0")
