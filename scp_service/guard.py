"""The guard in front of the listener: no association is made of a connection before it asks.

pynetdicom gives two threads to every connection, and waits for as long as the peer likes. Here
connections wait in one thread, over TLS or not, until each has sent a whole A-ASSOCIATE-RQ
(PS3.8 9.3.2). They wait for a limited time, and there are so many of them at most; who comes
beyond that takes the place of the one that has waited longest. A load balancer says first whom it
forwards (`scp_service.proxied`).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import selectors
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import metrics
from scp_service.proxied import Address, Balancers, NotProxiedError, read, sender
from scp_service.refusals import Refusals
from scp_service.request import UNEXPECTED, of_version_1, refusal
from scp_service.tls import is_refusal, why
from settings import Listener

_log = logging.getLogger(__name__)

_HEADER = struct.Struct(">BxL")
"""The head of every PDU (PS3.8 9.3.1): its type, a reserved byte, the length of what follows."""
_ASSOCIATE_RQ = 0x01
LONGEST_REQUEST = 262_144
"""In bytes: 128 presentation contexts with every transfer syntax and a 64 KiB token fit in half."""
_FULL = bytes.fromhex("03 00 00000004 00 02 03 02")
"""A-ASSOCIATE-RJ (PS3.8 9.3.4): transient, presentation provider, local limit exceeded."""
_LEAVING_SECONDS = 2.0
"""How long a peer that was refused may take to close its connection (PS3.8 9.2.1: ARTIM)."""
_MOST_ARRIVED = 64
_PART_BYTES = 65_536


class Full(Enum):
    """Of what there are as many associations as may be: how it is counted, and told."""

    ALL = ("local_limit_exceeded", "there are as many associations as may be")
    ADDRESS = ("address_limit_exceeded", "there are as many associations of it as may be")


class Door(Protocol):
    """A server, as the guard knows it."""

    def secured(self, connection: socket.socket) -> ssl.SSLSocket | None:
        """Begin TLS, without waiting; None where the port is one without."""

    def objection(self, connection: ssl.SSLSocket) -> str:
        """Say why a peer that is secured may not go on; "" where it may."""

    def is_full(self, host: str) -> Full | None:
        """Tell whether there are as many associations as there may be, of all or of this host."""

    def admit(self, connection: socket.socket, address: Address, request: bytes) -> None:
        """Make an association of a connection and the A-ASSOCIATE-RQ that it has sent."""


class _Stage(Enum):
    ANNOUNCING = "did not say in time whom it forwards"
    SECURING = "did not finish the handshake in time"
    ASKING = "sent no whole association request in time"
    LEAVING = "was refused"


@dataclass(eq=False, slots=True)
class _Caller:
    """A connection that waits."""

    door: Door
    connection: socket.socket
    address: Address
    stage: _Stage
    deadline: float
    data: bytearray = field(default_factory=bytearray)

    @property
    def host(self) -> str:
        return self.address[0]


class Guard:
    """The thread in which connections wait until they ask for an association.

    Args:
        limits: how many may wait, and for how long.
        unauthenticated: is told of whoever is refused by TLS: the address, and why.
    """

    def __init__(self, limits: Listener, unauthenticated: Callable[[str, str], None]) -> None:
        self._limits = limits
        self._unauthenticated = unauthenticated
        self._balancers = Balancers(limits.proxy_protocol_from)
        self.refusals = Refusals()
        self._selector = selectors.DefaultSelector()
        self._arrived: queue.Queue[tuple[Door, socket.socket, Address]] = queue.Queue(_MOST_ARRIVED)
        self._waiting: dict[_Caller, None] = {}  # in the order in which they came
        self._bell, self._rung = socket.socketpair()
        self._rung.setblocking(False)
        self._bell.setblocking(False)
        self._selector.register(self._rung, selectors.EVENT_READ)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guard", daemon=True)
        self._thread.start()

    def take(self, door: Door, connection: socket.socket, address: Address) -> None:
        """Take a connection that was accepted; where very many come, no faster than can be."""
        self._arrived.put((door, connection, address))
        self._ring()

    @property
    def waiting(self) -> int:
        """How many connections wait."""
        return len(self._waiting) + self._arrived.qsize()

    def close(self) -> None:
        """Close the connections that wait, and end."""
        self._stop.set()
        self._ring()
        self._thread.join()
        for caller in tuple(self._waiting):
            self._close(caller)
        while not self._arrived.empty():
            self._arrived.get()[1].close()
        self._selector.close()
        self._bell.close()
        self._rung.close()

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # then it has been rung often enough
            self._bell.send(b"\0")

    def _run(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(self._patience()):
                if isinstance(key.data, _Caller):
                    self._attend(key.data)
                else:
                    self._rung.recv(_PART_BYTES)
            self._close_the_late()
            self._let_in()

    def _patience(self) -> float | None:
        """Return how many seconds there are until somebody's time is up."""
        deadlines = [caller.deadline for caller in self._waiting]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _close_the_late(self) -> None:
        now = time.monotonic()
        for caller in [each for each in self._waiting if each.deadline <= now]:
            if caller.stage is not _Stage.LEAVING:
                self.refusals.tell(caller.host, f"the peer {caller.stage.value}")
            self._close(caller)

    # Coming in ------------------------------------------------------------------------------

    def _let_in(self) -> None:
        for _ in range(self._arrived.qsize()):  # not for as long as they come: others wait
            door, connection, address = self._arrived.get()
            self._make_room(address[0])
            connection.setblocking(False)
            stage = _Stage.ANNOUNCING
            caller = _Caller(door, connection, address, stage, self._until(stage))
            self._waiting[caller] = None
            self._selector.register(connection, selectors.EVENT_READ, caller)
            if address[0] in self._balancers:
                self._attend(caller)
            else:
                self._welcome(caller)

    def _welcome(self, caller: _Caller) -> None:
        """Begin with a connection whose sender is known."""
        self._selector.unregister(caller.connection)
        try:
            secured = caller.door.secured(caller.connection)
        except OSError:  # it is gone already
            del self._waiting[caller]
            caller.connection.close()
            return
        caller.connection = secured or caller.connection
        caller.stage = _Stage.SECURING if secured else _Stage.ASKING
        caller.deadline = self._until(caller.stage)
        self._selector.register(caller.connection, selectors.EVENT_READ, caller)
        self._attend(caller)

    def _until(self, stage: _Stage) -> float:
        seconds = {
            _Stage.ANNOUNCING: self._limits.acse_timeout_seconds,
            _Stage.SECURING: self._limits.tls.handshake_timeout_seconds,
            _Stage.ASKING: self._limits.acse_timeout_seconds,
            _Stage.LEAVING: _LEAVING_SECONDS,
        }
        return time.monotonic() + seconds[stage]

    def _make_room(self, host: str) -> None:
        """Close who has waited longest: of an address with too many, or of the one with most."""
        hosts = Counter(caller.host for caller in self._waiting)
        if hosts[host] >= self._limits.max_waiting_per_address:
            crowded = host
        elif hosts.total() >= self._limits.max_waiting:
            crowded = hosts.most_common(1)[0][0]
        else:
            return
        self._close_one_of(crowded)

    def _close_one_of(self, host: str) -> None:
        there = [caller for caller in self._waiting if caller.host == host]
        oldest = min(there, key=lambda caller: caller.stage is not _Stage.LEAVING)
        self._attend(oldest)  # its request may have come meanwhile
        if oldest not in self._waiting or oldest.host != host:
            return
        if oldest.stage is not _Stage.LEAVING:
            self.refusals.tell(oldest.host, "too many connections wait that ask for nothing")
        self._close(oldest)

    # Waiting --------------------------------------------------------------------------------

    def _attend(self, caller: _Caller) -> None:
        """Go on with a connection as far as it goes without waiting."""
        try:
            match caller.stage:
                case _Stage.ANNOUNCING:
                    self._hear_of(caller)
                case _Stage.SECURING:
                    self._secure(caller)
                case _Stage.ASKING:
                    self._listen_to(caller)
                case _Stage.LEAVING:
                    self._see_off(caller)
        except ssl.SSLWantReadError:
            self._selector.modify(caller.connection, selectors.EVENT_READ, caller)
        except ssl.SSLWantWriteError:
            self._selector.modify(caller.connection, selectors.EVENT_WRITE, caller)
        except BlockingIOError:
            pass
        except OSError as error:
            if caller.stage is _Stage.SECURING:
                self.refusals.tell(caller.host, why(error))
                if is_refusal(error):
                    self._unauthenticated(caller.host, why(error))
            self._close(caller)

    def _hear_of(self, caller: _Caller) -> None:
        """Read no further than to the end of what a balancer says of whom it forwards."""
        balancer = caller.host
        if not caller.data and not self._balancers.announces(caller.connection, balancer):
            self._welcome(caller)
            return
        try:
            read(caller.connection, caller.data)
            named = sender(caller.data, balancer)
        except NotProxiedError:
            self.refusals.tell(balancer, "a balancer must begin with the PROXY protocol")
            self._close(caller)
            return
        caller.data.clear()
        if named is not None:
            waiting = sum(each.host == named[0] for each in self._waiting)
            if waiting >= self._limits.max_waiting_per_address:
                self._close_one_of(named[0])
            caller.address = named
        self._welcome(caller)

    def _secure(self, caller: _Caller) -> None:
        assert isinstance(caller.connection, ssl.SSLSocket)
        caller.connection.do_handshake()
        objection = caller.door.objection(caller.connection)
        if objection:
            self.refusals.tell(caller.host, objection)
            self._unauthenticated(caller.host, objection)
            self._close(caller)
            return
        caller.stage, caller.deadline = _Stage.ASKING, self._until(_Stage.ASKING)
        self._listen_to(caller)

    def _listen_to(self, caller: _Caller) -> None:
        """Read no further than to the end of the A-ASSOCIATE-RQ; the rest is the association's."""
        while (missing := _missing(caller.data)) > 0:
            part = caller.connection.recv(min(missing, _PART_BYTES))
            if not part:
                self._close(caller)  # who comes and goes is not worth a word
                return
            caller.data += part
        if missing < 0:
            said = "the peer does not ask for an association"
            self._refuse(caller, UNEXPECTED, said, "no_association_request")
        elif answer := refusal(bytes(caller.data)):
            said = "the peer's association request cannot be understood"
            self._refuse(caller, answer, said, "request_not_understood")
        elif full := caller.door.is_full(caller.host):
            counts_as, said = full.value
            self._refuse(caller, _FULL, said, counts_as)
        else:
            self._hand_over(caller)

    def _refuse(self, caller: _Caller, answer: bytes, reason: str, counts_as: str) -> None:
        """Answer, and leave it to the peer for a while to close the connection (PS3.8 9.2.1)."""
        metrics.ASSOCIATIONS_REFUSED.labels(counts_as).inc()
        self.refusals.tell(caller.host, reason)
        caller.connection.send(answer)
        caller.stage, caller.deadline = _Stage.LEAVING, self._until(_Stage.LEAVING)

    def _see_off(self, caller: _Caller) -> None:
        """Whatever a peer does that was refused, its connection is closed."""
        caller.connection.recv(_PART_BYTES)
        self._close(caller)

    # Leaving --------------------------------------------------------------------------------

    def _hand_over(self, caller: _Caller) -> None:
        self._forget(caller)
        try:
            request = of_version_1(bytes(caller.data))
            caller.door.admit(caller.connection, caller.address, request)
        except Exception as error:
            # Whatever goes wrong with one peer, such as that there is no thread left to be started,
            # the others are still attended to.
            _log.error("An association could not be begun (%s).", type(error).__name__)
            caller.connection.close()

    def _close(self, caller: _Caller) -> None:
        self._forget(caller)
        caller.connection.close()

    def _forget(self, caller: _Caller) -> None:
        self._selector.unregister(caller.connection)
        del self._waiting[caller]


def _missing(data: bytes | bytearray) -> int:
    """Return how many bytes are to be read next; 0: all are there; -1: it is no A-ASSOCIATE-RQ."""
    if not data:
        return _HEADER.size
    if data[0] != _ASSOCIATE_RQ:
        return -1
    if len(data) < _HEADER.size:
        return _HEADER.size - len(data)
    _, length = _HEADER.unpack_from(data)
    if length > LONGEST_REQUEST:
        return -1
    return _HEADER.size + int(length) - len(data)
