"""A positive overtakes the negatives that wait before it, from its reading to its delivery."""

from __future__ import annotations

from pathlib import Path

from db.files import FileStore
from db.models import Report, Study, Task
from db.queue import Rank
from db.session import Database
from db.states import TaskKind
from settings import DicomDestination, Priority
from tests.db.makers import close_quiet, parcels, rows
from tests.inference.bundles import small_bundle
from tests.inference.worker.work import Script, receive, worker_settings, working
from tests.peers import wait_until

NORMAL, OPACITY = (9.0, 0.0, 0.0), (0.0, 0.0, 9.0)
PACS = DicomDestination(
    name="pacs", ae_title="PACS", host="127.0.0.1", port=104, objects=("sr", "sc")
)


def tasks(database: Database, kind: TaskKind) -> list[Task]:
    return [each for each in rows(database, Task) if each.kind == kind]


def test_a_positive_overtakes_a_backlog_of_negatives(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    script = Script(small_bundle(tmp_path / "bundle", input_size=64), [*[NORMAL] * 5, OPACITY])
    later = worker_settings(destinations=(PACS,), study_quiet_seconds=10_000)
    with working(database, store, script, settings=later):
        receive(database, store, tmp_path, *["normal"] * 6)
        wait_until(lambda: not tasks(database, TaskKind.READ), "all to be read", seconds=60)
    assert close_quiet(database, quiet_seconds=0) == 6

    (urgent,) = [each.id for each in rows(database, Study) if each.priority == "urgent"]
    by_rank = {each.subject_id: each.priority for each in tasks(database, TaskKind.REPORT)}
    assert by_rank == {each.id: Rank.ROUTINE for each in rows(database, Study)} | {
        urgent: Rank.URGENT
    }
    with working(database, store, script, settings=later):
        wait_until(lambda: len(rows(database, Report)) == 6, "all reports", seconds=60)
    assert {each.study_id for each in rows(database, Report) if each.priority == "urgent"} == {
        urgent
    }
    assert [each.study_id for each in parcels(database, limit=12)][:2] == [urgent] * 2


def test_where_that_is_switched_off_all_goes_in_order(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    script = Script(small_bundle(tmp_path / "bundle", input_size=64), [NORMAL, OPACITY])
    settings = worker_settings(destinations=(PACS,), priority=Priority(positive_first=False))
    with working(database, store, script, settings=settings):
        receive(database, store, tmp_path, "normal", "normal")
        wait_until(lambda: len(rows(database, Report)) == 2, "all reports", seconds=60)
    assert {each.priority for each in rows(database, Report)} == {"routine"}
    assert {each.priority for each in tasks(database, TaskKind.DELIVER)} == {Rank.ROUTINE}
