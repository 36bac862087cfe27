"""A receiver that answers every film with Success at once and keeps none: `bench.rate`'s limit.

python -m bench.answering PORT
"""

from __future__ import annotations

import socket
import struct
import sys
import threading

from tests.peers import wire
from tests.peers.process import LOOPBACK

_BUFFER_BYTES = 1 << 20
_PDU_BYTES = 131_072
_COMMAND, _LAST = 0b01, 0b10
_REQUESTED, _ACCEPTED = 0x20, 0x21


def main() -> None:
    """Serve until the process is ended."""
    with socket.create_server((LOOPBACK, int(sys.argv[1])), backlog=64) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


def serve(connection: socket.socket) -> None:
    """Answer one association's films until it ends."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb", _BUFFER_BYTES) as incoming:
        while len(head := incoming.read(6)) == 6:
            kind, length = struct.unpack(">BxL", head)
            body = incoming.read(length)
            if kind == wire.ASSOCIATE_RQ:
                connection.sendall(associate_ac(body))
            elif kind == wire.RELEASE_RQ:
                connection.sendall(wire.pdu(wire.RELEASE_RP, bytes(4)))
            elif kind == wire.P_DATA and body[5] & (_COMMAND | _LAST) == _LAST:
                connection.sendall(wire.store_rsp(context_id=body[4]))


def associate_ac(request: bytes) -> bytes:
    """Accept every presentation context of a request with its first transfer syntax (PS3.8 9.3.3).

    `request` is the body of the A-ASSOCIATE-RQ.
    """
    contexts, at = b"", 68
    while at < len(request):
        kind, length = struct.unpack_from(">BxH", request, at)
        if kind == _REQUESTED:
            context = request[at + 4 : at + 4 + length]
            abstract_bytes = struct.unpack_from(">H", context, 6)[0]
            syntax = context[8 + abstract_bytes :]
            syntax = syntax[: 4 + struct.unpack_from(">H", syntax, 2)[0]]
            contexts += struct.pack(">BxHBxxx", _ACCEPTED, 4 + len(syntax), context[0]) + syntax
        at += 4 + length
    user = struct.pack(">BxHL", 0x51, 4, _PDU_BYTES)
    user = struct.pack(">BxH", 0x50, len(user)) + user
    return wire.pdu(wire.ASSOCIATE_AC, request[:68] + contexts + user)


if __name__ == "__main__":
    main()
