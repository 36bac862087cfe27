"""Child processes of the tests: free ports, waiting with a deadline, starting, ending, log tails.

What the programs are (Hilum itself, DCMTK, Orthanc) is said in the files beside this one.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.02
STOP_SECONDS = 30.0
TAIL_LINES = 40

T = TypeVar("T")


class ProcessFailedError(AssertionError):
    """A child process died, hung or left others behind; the message ends with its log's tail."""


class ChildProcess:
    """A started program, its log file and everything that it starts in its turn."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        clean_exits: Collection[int] = (0,),
    ) -> None:
        """Start `command` in a session of its own, with both of its outputs going to `log`.

        `clean_exits` are the exit statuses that are right after SIGTERM (minus the signal's number
        for a program that the signal ends).
        """
        self.name = " ".join(str(part) for part in [Path(command[0]).name, *command[1:4]])
        self.log_file = log
        self.clean_exits = clean_exits
        self.expected_to_end = False
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id of the program itself."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, None while it runs."""
        return self._popen.poll()

    def log(self) -> str:
        """Return all that it has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def tail(self) -> str:
        """Return the end of its log under a heading, for people."""
        lines = self.log().splitlines()[-TAIL_LINES:]
        return "\n".join([f"--- end of the log of {self.name} ---", *lines])

    def wait_for(self, what: str | Callable[[], T], *, seconds: float = 30) -> str | T:
        """Wait until a line of the log contains the text `what`, or the condition `what` is true.

        Returns the line, or what the condition returned.

        Raises:
            ProcessFailedError: not within `seconds`, or it ended before.
        """
        if isinstance(what, str):
            return wait_until(lambda: self._line(what), repr(what), seconds=seconds, process=self)
        return wait_until(what, "the condition", seconds=seconds, process=self)

    def wait(self, *, seconds: float = 60) -> int:
        """Wait until it ends by itself, as the test expects, and return its exit status."""
        self.expected_to_end = True
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self._failed(f"still runs after {seconds:g} s") from None

    def send_signal(self, number: int) -> None:
        """Send a signal to the program itself, not to its children."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Kill the program itself with SIGKILL, as a test of crashes does, and wait for its end."""
        self.expected_to_end = True
        self._popen.kill()
        self._popen.wait()

    def children(self) -> list[psutil.Process]:
        """Return the live processes that the program started, however deep, oldest first."""
        found = [process for process in _session(self.pid) if process.pid != self.pid]
        return sorted(found, key=lambda process: process.create_time())

    def stop(self, *, seconds: float = STOP_SECONDS) -> int:
        """End it with SIGTERM and return its exit status.

        Raises:
            ProcessFailedError: it had ended by itself, did not end, ended with a status that is not
                in `clean_exits`, or left processes behind. Nothing is left running all the same.
        """
        try:
            if not self.expected_to_end:
                self._terminate(seconds)
            self._popen.wait(seconds)
            wait_until(lambda: not self.children(), "its children", seconds=min(seconds, 10))
        except (ProcessFailedError, subprocess.TimeoutExpired) as error:
            left = [f"{process.pid} {process.name()}" for process in self.children()]
            raise self._failed(f"{error}; left behind: {left or 'nothing'}") from None
        finally:
            self.kill_all()
        return self._popen.wait()

    def kill_all(self) -> None:
        """Kill the program and all that it started; does nothing where nothing runs."""
        left = _session(self.pid)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._popen.wait()
        wait_until(lambda: not any(map(_alive, left)), f"the end of {self.name}", seconds=10)

    def _terminate(self, seconds: float) -> None:
        if self._popen.poll() is not None:
            raise self._failed(f"ended by itself with status {self._popen.returncode}")
        self._popen.send_signal(signal.SIGTERM)
        self.expected_to_end = True
        status = self._popen.wait(seconds)
        if status not in self.clean_exits:
            raise self._failed(f"ended with status {status} after SIGTERM")

    def _line(self, text: str) -> str | None:
        return next((line for line in self.log().splitlines() if text in line), None)

    def _failed(self, what: str) -> ProcessFailedError:
        return ProcessFailedError(f"{self.name}: {what}\n{self.tail()}")


@contextlib.contextmanager
def running(process: ChildProcess) -> Iterator[ChildProcess]:
    """Hold a started process: stop it cleanly at the end, add its log to an error of the body."""
    try:
        yield process
    except BaseException as error:
        process.kill_all()
        error.add_note(process.tail())
        raise
    else:
        process.stop()


def wait_until(
    condition: Callable[[], T | None],
    what: str,
    *,
    seconds: float = 30,
    process: ChildProcess | None = None,
) -> T:
    """Call `condition` until it returns something true, and return that.

    Raises:
        ProcessFailedError: it did not within `seconds`, or `process` ended before it did.
    """
    deadline = time.monotonic() + seconds
    while True:
        ended = process is not None and process.returncode is not None
        result = condition()
        if result:
            return result
        if ended or time.monotonic() > deadline:
            why = "it ended before" if ended else f"not within {seconds:g} s"
            tail = f"\n{process.tail()}" if process else ""
            raise ProcessFailedError(f"waited for {what}: {why}{tail}")
        time.sleep(POLL_SECONDS)


def require(*tools: str) -> list[str]:
    """Return where programs are; skip the test, saying why, where one is not installed.

    Those of our own environment do not count: pynetdicom installs programs there that have the
    names of DCMTK's, and they come first on the PATH while the environment is activated.
    """
    ours = Path(sys.executable).parent
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if Path(folder) != ours)
    found = {tool: shutil.which(tool, path=path) for tool in tools}
    missing = [tool for tool, place in found.items() if place is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (Debian: dcmtk, dicom3tools, orthanc, strace)")
    return [place for place in found.values() if place is not None]


def free_port() -> int:
    """Return a TCP port that is free on every address of this machine.

    Taken from below the range that the kernel gives to outgoing connections, so that none of
    those takes it before the server that it is meant for.
    """
    for _ in range(1000):
        port = random.randint(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise ProcessFailedError("no free TCP port between 15000 and 32000")


def _session(leader: int) -> list[psutil.Process]:
    """Return the live processes of the session that `leader` began, orphans among them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader and _alive(process):
                found.append(process)
    return found


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
