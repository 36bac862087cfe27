"""Receivers of HL7 messages: one of another library, which is strict, and one that misbehaves."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from typing import Any

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

SCRIPT = Callable[[bytes], "bytes | None"]


def acknowledgement(code: str, control_id: str, *more: str) -> bytes:
    """Return an ACK in its MLLP frame."""
    msh = "MSH|^~\\&|RIS|HOSPITAL|HILUM||20240311||ACK^R01^ACK|1|P|2.5.1"
    segments = [msh, f"MSA|{code}|{control_id}", *more]
    return b"\x0b" + "\r".join([*segments, ""]).encode() + b"\x1c\r"


def control_id_of(block: bytes) -> str:
    return block.split(b"\r")[0].split(b"|")[9].decode()


def checked(text: str) -> Message:
    """Parse a message, held against its version of the standard by hl7apy; raises what it finds."""
    message = parse_message(text, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
    message.validate()
    return message


class _Served:
    """A server that runs in a thread until the end of the block."""

    _server: socketserver.TCPServer

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Any:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class StrictReceiver(_Served):
    """hl7apy's server: checks every message by the standard, and hangs up after each."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.received: list[Message] = []
        handlers = {"ORU^R01^ORU_R01": (_Accept, self.received)}
        self._server = MLLPServer("127.0.0.1", 0, handlers, timeout=5)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            # Whoever fails the handshake is no reason to print a traceback.
            self._server.handle_error = lambda *_: None


class _Accept(AbstractHandler):
    def __init__(self, message: str, received: list[Message]) -> None:
        super().__init__(message)
        self._received = received

    def reply(self) -> str:
        message = checked(self.incoming_message)
        self._received.append(message)
        return acknowledgement("AA", message.msh.msh_10.value).decode()


class ScriptedReceiver(_Served):
    """Answers each message with whatever bytes `script` returns; hangs up where that is None."""

    def __init__(self, script: SCRIPT) -> None:
        self.received: list[bytes] = []
        self.connections = 0
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                receiver.connections += 1
                receiver._serve(self.request, script)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def _serve(self, peer: socket.socket, script: SCRIPT) -> None:
        buffer = b""
        while more := peer.recv(65536):
            buffer += more
            while b"\x1c\r" in buffer:
                frame, buffer = buffer.split(b"\x1c\r", 1)
                self.received.append(frame.removeprefix(b"\x0b"))
                answer = script(self.received[-1])
                if answer is None:
                    return
                peer.sendall(answer)
