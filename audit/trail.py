"""Where audit messages go: to the file, and to a syslog server where one is configured."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from audit import file
from audit.message import Message, Participant, to_xml
from audit.syslog import Sender
from settings import Settings

_log = logging.getLogger(__name__)

FOLDER = "audit"


class Trail:
    """Takes messages. One that cannot be kept is told in the log, and stops nothing."""

    def __init__(self, settings: Settings) -> None:
        self._enabled = settings.audit.enabled
        self._folder = folder_of(settings)
        title = settings.listener.ae_title
        self._source_id = settings.audit.source_id or f"{title}@{socket.gethostname()}"
        self._ours = Participant(
            title, address=socket.gethostname(), other_name=f"process {os.getpid()}"
        )
        syslog = settings.audit.syslog
        self._sender = Sender(syslog) if self._enabled and syslog.host else None

    @property
    def ours(self) -> Participant:
        """This process, as an active participant."""
        return self._ours

    def now(self) -> datetime:
        """Return the present."""
        return datetime.now(UTC)

    def add(self, message: Message) -> None:
        """Keep a message."""
        if not self._enabled:
            return
        record = to_xml(message, self._source_id)
        try:
            file.append(self._folder, record, message.at)
        except OSError as error:
            _log.error("AN AUDIT RECORD WAS NOT KEPT: %s.", error.strerror)
        if self._sender is not None:
            self._sender.send(record, message.at)

    def close(self) -> None:
        """Send what waits to be sent, and let go."""
        if self._sender is not None:
            self._sender.close()


def folder_of(settings: Settings) -> Path:
    """Return where the files of the trail lie."""
    return settings.data_path / FOLDER


def person() -> str:
    """Name who has started this process, as far as the system tells: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:128]
