"""The supervisor with small stand-ins for the roles: it restarts, stops and kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from scp_service import supervise as module
from scp_service.supervise import Child, supervise
from tests import peers

STAND_IN = """
import os, signal, sys, time
from pathlib import Path

role = sys.argv[1]
folder = Path(os.environ["FOLDER"])
with (folder / role).open("a") as file:
    file.write(f"{os.getpid()} {os.environ['HILUM_SUPERVISOR']} {os.environ['MARK']}\\n")
if role == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
(folder / f"{role}.ready").touch()
if role == "brief":
    sys.exit(3)
while True:
    time.sleep(60)
"""


class Roles:
    """Stand-ins for the program's roles: each start leaves a line in a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def starts(self, role: str) -> list[list[str]]:
        """Return process id, supervisor and mark of every start of a role."""
        file = self._folder / role
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def ready(self, role: str, starts: int = 1) -> int:
        """Wait until a role has started that often and is ready; return its process id."""
        ready = self._folder / f"{role}.ready"
        peers.wait_until(
            lambda: len(self.starts(role)) >= starts and ready.exists(), f"{role} to start"
        )
        ready.unlink()
        return int(self.starts(role)[-1][0])


@pytest.fixture
def roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roles:
    (tmp_path / "hilum.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)  # where `python -m hilum` looks first
    return Roles(tmp_path)


@contextmanager
def supervising(folder: Path, *names: str) -> Iterator[threading.Event]:
    """Supervise stand-ins until the end of the block; yields what stops the supervisor."""
    stop = threading.Event()
    environment = {**os.environ, "FOLDER": str(folder), "MARK": "given"}
    thread = threading.Thread(target=supervise, args=(names, environment, stop))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_every_role_is_started_with_the_environment_and_ended(roles: Roles, tmp_path: Path) -> None:
    with supervising(tmp_path, "listen", "work"):
        pids = [roles.ready(role) for role in ("listen", "work")]
    for role, pid in zip(("listen", "work"), pids, strict=True):
        assert roles.starts(role) == [[str(pid), str(os.getpid()), "given"]]
        assert not psutil.pid_exists(pid)


def test_a_killed_role_is_started_again_and_no_other_is_touched(
    roles: Roles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with supervising(tmp_path, "listen", "work"):
        first, other = roles.ready("listen"), roles.ready("work")
        os.kill(first, signal.SIGKILL)
        assert roles.ready("listen", starts=2) != first
        assert psutil.pid_exists(other)
    assert len(roles.starts("work")) == 1
    assert "listen ended by itself (signal SIGKILL); starting it again" in caplog.text


def test_a_role_that_does_not_stop_in_time_is_killed(
    roles: Roles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.2)
    with supervising(tmp_path, "stubborn", "work"):
        pids = [roles.ready("stubborn"), roles.ready("work")]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert "stubborn did not stop in time and was killed" in caplog.text
    assert "work did not stop" not in caplog.text


class Steps:
    """A monotonic clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))


def start(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code])


def ending(code: str) -> Child:
    return Child("role", lambda: start(code))


def restarted(child: Child) -> bool:
    """Look after a child whose process has ended; tell whether it was started again."""
    before = child.process
    before.wait(30)
    child.look_after()
    return child.process is not before


def test_a_role_that_dies_at_once_is_started_again_slower_and_slower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = Steps(monkeypatch)
    child = ending("raise SystemExit(3)")
    waits = []
    for _ in range(9):
        # It dies at the very moment of its start, and is looked after every tenth of a second.
        child.process.wait(30)
        died = steps.now
        while not restarted(child):
            steps.now += 0.1
            assert steps.now - died < 100
        waits.append(round(steps.now - died))
    child.process.wait(30)
    assert waits == [0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_role_that_lived_long_is_started_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = Steps(monkeypatch)
    child = ending("raise SystemExit(3)")
    for _ in range(4):
        while not restarted(child):
            steps.now += 0.1
    monkeypatch.setattr(child, "_start_process", lambda: start("import sys; sys.stdin.read()"))
    while not restarted(child):
        steps.now += 0.1
    steps.now += 11
    child.look_after()
    child.process.kill()
    assert restarted(child)
    child.process.kill()
    child.process.wait(30)


def test_a_living_role_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    child = ending("import time; time.sleep(60)")
    before = child.process
    for _ in range(3):
        steps.now += 100
        child.look_after()
    assert child.process is before
    before.kill()
    before.wait(30)


@pytest.mark.parametrize(
    ("code", "said"),
    [("raise SystemExit(3)", "exit code 3"), ("import os; os.kill(os.getpid(), 9)", "SIGKILL")],
)
def test_how_a_role_ended_is_said(
    code: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    child = ending(code)
    assert restarted(child)
    child.process.wait(30)
    assert said in caplog.text


SUPERVISOR = """
import os, threading
from scp_service.supervise import supervise

supervise(["listen", "work"], os.environ, threading.Event())
"""

DIES_WITH_IT = """
import sys
sys.path.insert(0, {root!r})
from commands import roles

roles._die_with_supervisor()
"""


def test_the_roles_die_with_a_supervisor_that_is_killed(roles: Roles, tmp_path: Path) -> None:
    (tmp_path / "hilum.py").write_text(DIES_WITH_IT.format(root=str(peers.ROOT)) + STAND_IN)
    process = peers.ChildProcess(
        [sys.executable, "-c", SUPERVISOR],
        log=tmp_path / "log",
        env={**os.environ, "FOLDER": str(tmp_path), "MARK": "m", "PYTHONPATH": str(peers.ROOT)},
        cwd=tmp_path,
    )
    with peers.running(process):
        pids = [roles.ready(role) for role in ("listen", "work")]
        assert {start[1] for role in ("listen", "work") for start in roles.starts(role)} == {
            str(process.pid)
        }
        process.kill()
        peers.wait_until(
            lambda: not any(psutil.pid_exists(pid) for pid in pids), "the roles to die"
        )
