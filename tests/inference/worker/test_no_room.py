"""A disk without room is not the study's fault: its report waits, and costs no attempt."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from db.files import FileStore
from db.models import Report, Study, Task
from db.session import Database
from db.states import StudyState, TaskKind
from inference.worker import outcomes
from settings import Worker
from tests.db.makers import rows
from tests.inference.bundles import small_bundle
from tests.inference.worker.work import Script, receive, worker_settings, working
from tests.peers import wait_until

NORMAL = (9.0, 0.0, 0.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    """An empty data folder on a disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        made = FileStore(folder)
        made.prepare()
        yield made
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_report_waits_for_room_however_long_and_is_then_made(
    database: Database, store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "_ROOM_WAIT", timedelta(seconds=0.2))
    receive(database, store, tmp_path, "normal")
    ballast = store.root / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    reader = Script(small_bundle(tmp_path / "bundle", input_size=64), [NORMAL])
    settings = worker_settings(worker=Worker(decode_processes=1, max_attempts=1))
    with working(database, store, reader, settings=settings):
        wait_until(lambda: _without_room(database), "a report without room", seconds=60)
        assert rows(database, Report) == []
        assert [each.state for each in rows(database, Study)] == [StudyState.OPEN]
        ballast.unlink()
        wait_until(lambda: rows(database, Report), "the report", seconds=10)
    assert [each.state for each in rows(database, Study)] == [StudyState.REPORTED]


def _without_room(database: Database) -> bool:
    """Whether the report's task waits, says why, and has lost none of its attempts."""
    return any(
        task.kind is TaskKind.REPORT and task.attempts == 0 and "No space left" in str(task.error)
        for task in rows(database, Task)
    )
