"""Audit records to a syslog server (RFC 5424), over TLS (RFC 5425) or by UDP (RFC 5426)."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import ssl
import threading
from datetime import datetime

from settings import Syslog, Trust
from settings.secrets import SecretError, reveal

_log = logging.getLogger(__name__)

_PRIORITY = 85
"""Facility 10 (security), severity 5 (notice)."""
_MESSAGE_ID = "DICOM+RFC3881"
_TIMEOUT_SECONDS = 10.0
_PAUSE_SECONDS = 5.0
_MOST_WAITING = 10_000
_CLOSE_SECONDS = 2.0


class Sender:
    """Sends records one after another, in a thread of its own: nobody waits for a syslog server.

    While the server cannot be reached, up to 10,000 records wait for it; the file has them all.
    """

    def __init__(self, syslog: Syslog) -> None:
        self._syslog = syslog
        self._host = syslog.host or ""
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._stop = threading.Event()
        self._connection: socket.socket | None = None
        self._reachable = True
        self._thread = threading.Thread(target=self._run, name="syslog", daemon=True)
        self._thread.start()

    def send(self, record: str, at: datetime) -> None:
        """Have a record sent; it is dropped, and the log says so, where too many wait."""
        try:
            self._waiting.put_nowait(framed(record, at))
        except queue.Full:
            _log.error("An audit record was not sent to syslog: too many wait for the server.")

    def close(self) -> None:
        """Send what waits, if that goes fast, and stop."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(_CLOSE_SECONDS)
        self._stop.set()
        self._disconnect()

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            while not self._sent(message):
                if self._stop.wait(_PAUSE_SECONDS):
                    return

    def _sent(self, message: bytes) -> bool:
        try:
            connection = self._connection or self._connected()
            if self._syslog.transport == "tls":
                message = b"%d %s" % (len(message), message)
            connection.sendall(message)
        except (OSError, ValueError, SecretError) as error:
            self._disconnect()
            if self._reachable:
                reason = getattr(error, "strerror", None) or type(error).__name__
                _log.error("Audit records cannot be sent to syslog (%s); they wait.", reason)
            self._reachable = False
            return False
        if not self._reachable:
            _log.info("Audit records are sent to syslog again.")
        self._reachable = True
        return True

    def _connected(self) -> socket.socket:
        address = (self._host, self._syslog.port)
        if self._syslog.transport == "udp":
            family, kind, protocol, _, resolved = socket.getaddrinfo(
                *address, type=socket.SOCK_DGRAM
            )[0]
            self._connection = socket.socket(family, kind, protocol)
            self._connection.connect(resolved)
        else:
            plain = socket.create_connection(address, _TIMEOUT_SECONDS)
            try:
                context = _context(self._syslog.tls)
                self._connection = context.wrap_socket(plain, server_hostname=self._host)
            except BaseException:
                plain.close()
                raise
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def framed(record: str, at: datetime) -> bytes:
    """Return a record as a syslog message (RFC 5424 6): one version, one line."""
    host = socket.gethostname() or "-"
    moment = at.isoformat(timespec="milliseconds")
    head = f"<{_PRIORITY}>1 {moment} {host} hilum {os.getpid()} {_MESSAGE_ID} - "
    return head.encode("ascii", "replace") + b"\xef\xbb\xbf" + record.encode()


def _context(trust: Trust) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=trust.ca.expanduser() if trust.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = trust.check_hostname
    if trust.certificate is not None:
        password = reveal(trust.key_password) if trust.key_password else ""
        key = trust.key.expanduser() if trust.key else None
        context.load_cert_chain(trust.certificate.expanduser(), key, password=lambda: password)
    return context
