"""A small SMTP server of another library than our client's, with TLS and a login."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests import peers


@dataclass
class MailServer:
    """A running server: what it took, and whom it lets in."""

    port: int
    taken: list[Message] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refuse: bool = False

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Take a message."""
        if self.refuse:
            return "451 Canary^Patient is not taken now"
        self.taken.append(message_from_bytes(envelope.content))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 taken"


@contextmanager
def mail_server(context: ssl.SSLContext | None = None, password: str = "") -> Iterator[MailServer]:
    """Run a server on loopback; with a password it lets the user "hilum" in and nobody else."""
    port = peers.free_port()
    server = MailServer(port)

    def known(_server: SMTP, _session: Any, _envelope: Any, _how: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = data == LoginPassword(b"hilum", password.encode())
        return AuthResult(success=right, handled=right)

    options: dict[str, Any] = {"tls_context": context, "require_starttls": context is not None}
    if password:
        options |= {"authenticator": known, "auth_required": True}
    controller = Controller(server, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
