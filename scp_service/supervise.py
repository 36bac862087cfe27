"""The process that runs all roles as children, restarts what dies, and stops them cleanly."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from metrics import ROLE_VARIABLE, SUPERVISOR_VARIABLE

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 0.01
_STOP_SECONDS = 20.0
_HEALTHY_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 30.0


class Process(Protocol):
    """A child process, as `subprocess.Popen` is one."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Return how it ended: its exit status, or minus a signal's number; None while it runs."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


class Child:
    """One role's process, and when it may be started again after it died.

    `start` starts it; `ended` is told the role each time that its process has ended by itself.
    """

    def __init__(
        self,
        role: str,
        start: Callable[[], Process],
        ended: Callable[[str], None] = lambda _role: None,
    ) -> None:
        self.role = role
        self._start_process = start
        self._ended = ended
        self._failures = 0
        self._start()

    def _start(self) -> None:
        self._started = time.monotonic()
        self._died: float | None = None
        self.process = self._start_process()
        _log.info("Started %s (process %d).", self.role, self.process.pid)

    def look_after(self) -> None:
        """Start the process again if it died: at once, and slower the more often it dies early."""
        code = self.process.poll()
        if code is None:
            return
        now = time.monotonic()
        if self._died is None:
            self._died = now
            self._ended(self.role)
            if now - self._started >= _HEALTHY_SECONDS:
                self._failures = 0
        wait = 0.0 if self._failures == 0 else min(2.0**self._failures / 2, _LONGEST_WAIT_SECONDS)
        if now - self._died < wait:
            return
        self._failures += 1
        _log.error("%s ended by itself (%s); starting it again.", self.role, _explain(code))
        self._start()


def supervise(
    roles: Sequence[str],
    environment: Mapping[str, str],
    stop: threading.Event,
    ended: Callable[[str], None] = lambda _role: None,
) -> None:
    """Run the roles as child processes until `stop` is set, then end them all.

    `ended` is told each role whose process has ended by itself.

    The children get SIGTERM and 20 seconds to hand back what they work on. If this process is
    killed, they end by themselves (`die_with_supervisor`).
    """
    environment = {**environment, SUPERVISOR_VARIABLE: str(os.getpid())}
    watch_over([Child(role, _starter(role, environment), ended) for role in roles], stop)


def _starter(role: str, environment: Mapping[str, str]) -> Callable[[], Process]:
    command = [sys.executable, "-m", "hilum", role]
    return lambda: subprocess.Popen(command, env={**environment, ROLE_VARIABLE: role})


def watch_over(children: Sequence[Child], stop: threading.Event) -> None:
    """Restart children that die until `stop` is set; then give them 20 seconds to end."""
    while not stop.wait(_POLL_SECONDS):
        for child in children:
            child.look_after()
    for child in children:
        if child.process.poll() is None:
            child.process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for child in children:
        while child.process.poll() is None and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if child.process.poll() is None:
            _log.error("%s did not stop in time and was killed.", child.role)
            child.process.kill()
            while child.process.poll() is None:
                time.sleep(_LOOK_SECONDS)


def _explain(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
