"""The console on a port of its own, as programs elsewhere reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from console.app import make_app
from console.context import Context
from scp_service.http_server import serving_http
from tests.peers.process import free_port


@contextmanager
def served(context: Context) -> Iterator[str]:
    """Serve a console, and yield its URL."""
    port = free_port()
    with serving_http(
        make_app(context),
        "127.0.0.1",
        port,
        context.settings.console.tls,
        name="console",
        who="a test",
        trail=context.trail,
    ):
        yield f"http://127.0.0.1:{port}"
