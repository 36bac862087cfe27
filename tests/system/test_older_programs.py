"""Programs of earlier schemas, as they were, work on beside this one while it takes over.

On PostgreSQL, since machines are upgraded one after the other only there. The programs come from
the history of the repository.
"""

from __future__ import annotations

import subprocess
import tarfile
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import select

from db import migrations
from db.models import Delivery, Report
from tests.db.test_upgrade import RELEASED
from tests.peers import ROOT, ChildProcess, dcmsend, hilum_process, storescp
from tests.system.whole import START_SECONDS, Whole, destination, make_films, whole

BEFORE, ALONE, BESIDE, AFTER = 1, 3, 6, 2
FIRST, LAST_WITHOUT_CONSOLE = "0001", "0005"
"""Further schemas added tables and columns as these did; each takes a minute."""


def _program(revision: str, folder: Path) -> Path:
    """Unpack the last program whose newest schema was this one."""
    following = RELEASED[RELEASED.index(revision) + 1]
    added = ["log", "--diff-filter=A", "--format=%H", "--", f"db/migrations/versions/{following}_*"]
    commits = _git(*added).decode().split()
    if not commits:
        pytest.skip("the history of the repository is not here")
    with tarfile.open(fileobj=BytesIO(_git("archive", f"{commits[-1]}^"))) as tar:
        tar.extractall(folder, filter="data")
    return folder


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("the history of the repository is not here")
    return done.stdout


def _settled(process: ChildProcess) -> None:
    """Nothing has gone wrong with a program so far."""
    for sign in ("Traceback", " ERROR ", "ended by itself"):
        assert sign not in process.log(), process.tail()


@pytest.mark.long
@pytest.mark.parametrize("revision", [FIRST, LAST_WITHOUT_CONSOLE])
def test_an_older_program_works_on_while_the_schema_is_upgraded_below_it(
    revision: str, tmp_path: Path, postgres_url: str
) -> None:
    older = {"PYTHONPATH": str(_program(revision, tmp_path / "older"))}
    films = make_films(tmp_path / "films", BEFORE + ALONE + BESIDE + AFTER, size=256)
    sent = 0

    def send(service: Whole, count: int) -> None:
        nonlocal sent
        assert dcmsend(films[sent : sent + count], service.port).accepted == count
        sent += count

    with ExitStack() as stack:
        pacs = stack.enter_context(
            storescp(tmp_path / "pacs", options=("+xa",), keep_every_copy=True)
        )
        to = [destination(pacs.port, pacs.ae_title)]
        service = stack.enter_context(whole(tmp_path, destinations=to, database_url=postgres_url))
        with hilum_process(["serve"], {**service.env, **older}, folder=tmp_path) as old:
            old.wait_for(service.answers, seconds=START_SECONDS)
            with service.database.engine.connect() as connection:
                assert migrations.version(connection) == revision
            send(service, BEFORE)
            pacs.wait_for_files(2 * sent, seconds=120)

            migrations.upgrade(service.database, service.data)
            send(service, ALONE)
            service.wait_until_idle(sent)
            _settled(old)
            with ExitStack() as beside:
                new = [
                    beside.enter_context(hilum_process([role], service.env, folder=tmp_path))
                    for role in ("work", "deliver", "schedule")
                ]
                new[0].wait_for("Reading with", seconds=START_SECONDS)
                send(service, BESIDE)
                service.wait_until_idle(sent)
                for each in (old, *new):
                    _settled(each)
        with service.serving() as process:
            send(service, AFTER)
            service.wait_until_idle(sent)
            _settled(process)
        with service.database.read() as session:
            assert set(session.scalars(select(Report.revision))) == {1}
            assert {each.state for each in session.scalars(select(Delivery))} == {"sent"}
        assert len(pacs.files()) == 2 * sent, "an object was lost, or sent twice"
        service.assert_no_orphans()
