"""A peer that says byte by byte what it likes: PDUs and commands as PS3.8 and PS3.7 encode them.

It knows nothing of any DICOM library, so it can say what none would.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Sequence

from tests.peers.process import LOOPBACK

VERIFICATION = "1.2.840.10008.1.1"
CR_STORAGE = "1.2.840.10008.5.1.4.1.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
CONTEXTS = ((VERIFICATION, IMPLICIT), (CR_STORAGE, EXPLICIT))

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ = 0x01, 0x02, 0x03
P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 0x04, 0x05, 0x06, 0x07
_C_STORE_RQ, _C_STORE_RSP, _C_ECHO_RQ = 0x0001, 0x8001, 0x0030
_NO_DATA_SET = 0x0101
_NATIVE_MODEL = b"1.2.840.10008.3.1.1.1"


def pdu(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """Encode a PDU (PS3.8 9.3.1); `length` is what it says of itself, where that is to be wrong."""
    return struct.pack(">BxL", kind, len(body) if length is None else length) + body


def associate_rq(
    called: str = "HILUM",
    calling: str = "WIRE",
    contexts: Sequence[tuple[str, str]] = CONTEXTS,
    *,
    max_length: int = 16_384,
) -> bytes:
    """Encode an A-ASSOCIATE-RQ (PS3.8 9.3.2); its contexts have the ids 1, 3, 5 and so on."""
    body = struct.pack(">Hxx16s16s32x", 1, called.encode().ljust(16), calling.encode().ljust(16))
    body += _item(0x10, _NATIVE_MODEL)
    for number, (sop_class, syntax) in enumerate(contexts):
        syntaxes = _item(0x30, sop_class.encode()) + _item(0x40, syntax.encode())
        body += _item(0x20, struct.pack(">Bxxx", 2 * number + 1) + syntaxes)
    user = _item(0x51, struct.pack(">L", max_length)) + _item(0x52, b"1.2.3.4.5")
    return pdu(ASSOCIATE_RQ, body + _item(0x50, user))


def fragment(context_id: int, data: bytes, *, command: bool, last: bool = True) -> bytes:
    """Encode a P-DATA-TF of one fragment of a message (PS3.8 9.3.5 and E.2)."""
    control = command | last << 1
    return pdu(P_DATA, struct.pack(">LBB", len(data) + 2, context_id, control) + data)


def echo_rq(message_id: int = 1, context_id: int = 1) -> bytes:
    """Encode a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    command = _command(
        [(0x0002, _uid(VERIFICATION)), (0x0100, _us(_C_ECHO_RQ)), (0x0110, _us(message_id))],
        _NO_DATA_SET,
    )
    return fragment(context_id, command, command=True)


def store_rq(
    sop_instance: str | None, message_id: int = 1, context_id: int = 3, *, has_data: bool = True
) -> bytes:
    """Encode the command of a C-STORE-RQ (PS3.7 9.3.1.1); its data set is to follow, if it has one.

    `sop_instance` may be none, though the standard demands one.
    """
    command = _command(
        [
            (0x0002, _uid(CR_STORAGE)),
            (0x0100, _us(_C_STORE_RQ)),
            (0x0110, _us(message_id)),
            (0x0700, _us(0)),
        ],
        0x0001 if has_data else _NO_DATA_SET,
        [] if sop_instance is None else [(0x1000, _uid(sop_instance))],
    )
    return fragment(context_id, command, command=True)


def store_rsp(message_id: int = 1, context_id: int = 3) -> bytes:
    """Encode a C-STORE-RSP of success (PS3.7 9.3.1.2)."""
    before = [(0x0002, _uid(CR_STORAGE)), (0x0100, _us(_C_STORE_RSP)), (0x0120, _us(message_id))]
    command = _command(before, _NO_DATA_SET, [(0x0900, _us(0))])
    return fragment(context_id, command, command=True)


def release_rq() -> bytes:
    """Encode an A-RELEASE-RQ (PS3.8 9.3.6)."""
    return pdu(RELEASE_RQ, bytes(4))


class Wire:
    """One TCP connection to a DICOM port."""

    connection: socket.socket

    def __init__(
        self,
        port: int,
        *,
        seconds: float = 10,
        source: str = LOOPBACK,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connect from an address of this machine (127.0.0.0/8); waits end after `seconds`."""
        self.connection = socket.create_connection((LOOPBACK, port), seconds, (source, 0))
        if tls is not None:
            self.connection = tls.wrap_socket(self.connection, server_hostname=LOOPBACK)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.connection.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """Return the next PDU's type and body; 0 and nothing where the peer has hung up."""
        head = self._read(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", head)
        return kind, self._read(length)

    def ask(self, request: bytes | None = None) -> tuple[int, bytes]:
        """Ask for an association and return the answer."""
        self.send(associate_rq() if request is None else request)
        return self.read()

    def status(self) -> int:
        """Return the status (0000,0900) of a response that comes in one fragment."""
        kind, body = self.read()
        if kind != P_DATA:
            raise ConnectionError(f"a PDU of type {kind} came instead of a response")
        at = 6
        while at < len(body):
            group, element, length = struct.unpack_from("<HHL", body, at)
            if (group, element) == (0x0000, 0x0900):
                return int.from_bytes(body[at + 8 : at + 8 + length], "little")
            at += 8 + length
        raise ConnectionError("a response came without a status")

    def say_no_more(self) -> None:
        """Close our direction of the connection; the peer may go on."""
        self.connection.shutdown(socket.SHUT_WR)

    def is_closed_by_peer(self) -> bool:
        """Read until the peer hangs up; False where it does not in time."""
        try:
            while self.connection.recv(65_536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def _read(self, count: int) -> bytes:
        data = b""
        try:
            while len(data) < count and (part := self.connection.recv(count - len(data))):
                data += part
        except ConnectionResetError:
            return b""
        return data


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _command(
    before: Sequence[tuple[int, bytes]],
    data_set_type: int,
    after: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    elements = [*before, (0x0800, _us(data_set_type)), *after]
    encoded = b"".join(
        struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements
    )
    return struct.pack("<HHLL", 0, 0, 4, len(encoded)) + encoded


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def _uid(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
