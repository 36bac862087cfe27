"""Of several schedulers one leads, and another takes over when it ends, however it does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from db import leader
from db.leader import Leader
from db.session import Database
from tests.peers import ROOT, wait_until

_LEADS = """
import sys
from pathlib import Path
from db.leader import Leader
from db.session import Database
print(Leader(Database(sys.argv[1]), Path(sys.argv[2])).leads(), flush=True)
sys.stdin.read()
"""


@contextmanager
def _another_process(database: Database, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that asks once whether it leads, says so, and stays."""
    command = [sys.executable, "-c", _LEADS, database.url, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def test_of_two_one_leads_until_it_leaves(database: Database, tmp_path: Path) -> None:
    first, second = (Leader(database, tmp_path) for _ in range(2))
    with closing(second):
        assert (first.leads(), second.leads()) == (True, False)
        assert (first.leads(), second.leads()) == (True, False)
        first.close()
        wait_until(second.leads, "the other to take over")
        assert not first.leads()


def test_nobody_leads_for_a_process_that_was_killed(database: Database, tmp_path: Path) -> None:
    with closing(Leader(database, tmp_path)) as ours:
        with _another_process(database, tmp_path) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "True\n"
            assert not ours.leads()
            other.kill()
        wait_until(ours.leads, "us to take over")


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_leader_whose_session_was_ended_stands_in_line(
    database: Database, tmp_path: Path
) -> None:
    first, second = (Leader(database, tmp_path) for _ in range(2))
    with closing(first), closing(second):
        assert first.leads()
        with database.engine.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks"
                    " WHERE locktype = 'advisory' AND granted"
                )
            )
        wait_until(second.leads, "the other to take over")
        assert not first.leads()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_leader_that_says_nothing_any_more_is_left(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "SILENT_SECONDS", 1)
    first, second = (Leader(database, tmp_path) for _ in range(2))
    with closing(first), closing(second):
        assert first.leads()
        wait_until(second.leads, "the other to take over")
        assert not first.leads()
