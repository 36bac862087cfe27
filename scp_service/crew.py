"""A listener of several processes on one port: what they share, and the parent that restarts them.

The parent binds the ports and parts into processes before it has any thread. A connection waits at
the port until one of them takes it, also while another is being restarted.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scp_service.census import Census
from scp_service.supervise import Child, watch_over
from settings import Listener, Settings

_log = logging.getLogger(__name__)

_BACKLOG = 1024
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Shared:
    """What one process of several listens with: bound sockets by port, its number, the census.

    `parent` is the process id of the one that started it.
    """

    parent: int
    sockets: dict[int, socket.socket]
    place: int
    census: Census


class Forked:
    """A child process that runs a function, handled as `subprocess.Popen` handles programs."""

    def __init__(self, work: Callable[[], None]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._run(work)

    def poll(self) -> int | None:
        """Return how it ended: its exit status, or minus a signal's number; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    @staticmethod
    def _run(work: Callable[[], None]) -> None:
        code = 1
        try:
            work()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def run_crew(
    settings: Settings,
    stop: threading.Event,
    work: Callable[[Shared], None],
    ended: Callable[[int], None] = lambda _place: None,
) -> None:
    """Have `work` done by `listener.processes` processes until `stop` is set, then end them.

    What is not to be had twice, threads above all, must not exist yet. `ended` is told the number
    of a process that has ended by itself.

    Raises:
        OSError: a port is taken or may not be used.
    """
    listener = settings.listener
    census = Census(listener.processes, listener.max_associations)
    with _bound(listener) as sockets:

        def child(place: int) -> Child:
            def forget(_role: str) -> None:
                census.forget(place)
                ended(place)

            shared = Shared(os.getpid(), sockets, place, census)
            return Child(f"listen {place + 1}", lambda: Forked(lambda: work(shared)), forget)

        watch_over([child(place) for place in range(listener.processes)], stop)


@contextmanager
def _bound(listener: Listener) -> Iterator[dict[int, socket.socket]]:
    """Bind the ports."""
    sockets: dict[int, socket.socket] = {}
    wanted = {listener.port: LOOPBACK if listener.tls.only else listener.host}
    if listener.tls.enabled:
        wanted[listener.tls.port] = listener.host
    try:
        for port, host in wanted.items():
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sockets[port] = socket.create_server((host, port), family=family, backlog=_BACKLOG)
            # Several are told of each connection, and one gets it: the others must not wait.
            sockets[port].setblocking(False)
        yield sockets
    finally:
        for each in sockets.values():
            each.close()
