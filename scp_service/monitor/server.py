"""The small web server that metrics and health are read from."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from scp_service.monitor.health import Check, problems

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10
_MOST_REQUESTS = 16
_JSON = "application/json"


@contextmanager
def serving(
    host: str, port: int, registry: CollectorRegistry, checks: Mapping[str, Check]
) -> Iterator[None]:
    """Answer GET /metrics, /health/live and /health/ready until the context ends.

    Raises:
        OSError: the port is taken or may not be used.
    """
    kind = _Server6 if ":" in host else _Server
    with kind((host, port), partial(_Handler, registry, checks)) as server:
        thread = threading.Thread(target=server.serve_forever, name="monitor", daemon=True)
        thread.start()
        _log.info("Telling metrics and health at http://%s:%d.", host, port)
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    """A thread for each of a few requests; who comes while all are busy is hung up on."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any) -> None:
        self._room = threading.BoundedSemaphore(_MOST_REQUESTS)
        super().__init__(*args)

    def server_bind(self) -> None:
        """Bind, without asking the network for this machine's name."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, where there is room for one."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    """Answers one request; a client that is silent is hung up on."""

    timeout = _PATIENCE_SECONDS

    def __init__(
        self, registry: CollectorRegistry, checks: Mapping[str, Check], *args: Any
    ) -> None:
        self._registry = registry
        self._checks = checks
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry))
        elif path == "/health/live":
            self._tell(HTTPStatus.OK, {"status": "live"})
        elif path == "/health/ready":
            wrong = problems(self._checks)
            told = {name: wrong.get(name, "ok") for name in self._checks}
            code = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
            self._tell(code, {"status": "not ready" if wrong else "ready", "checks": told})
        else:
            self._tell(HTTPStatus.NOT_FOUND, {"status": "nothing is here"})

    def _tell(self, code: HTTPStatus, said: object) -> None:
        self._answer(code, _JSON, json.dumps(said).encode())

    def _answer(self, code: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Name the server, without versions of what it is made of."""
        return "Hilum"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log no requests."""
