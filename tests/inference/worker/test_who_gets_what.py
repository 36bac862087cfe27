"""Which destinations get a report: by the finding, and by what they were told before."""

from __future__ import annotations

from pathlib import Path

from db.files import FileStore
from db.models import Delivery, Report, Task
from db.session import Database
from db.states import TaskKind
from settings import DicomDestination, Settings
from tests.db.makers import rows, uid
from tests.inference.bundles import small_bundle
from tests.inference.worker.work import Script, receive, worker_settings, working
from tests.peers import wait_until

NORMAL, OPACITY = (9.0, 0.0, 0.0), (0.0, 0.0, 9.0)


def destination(name: str, results: str) -> DicomDestination:
    return DicomDestination(
        name=name, ae_title="PACS", host="127.0.0.1", port=104, objects=("sr",), results=results
    )


def settings() -> Settings:
    return worker_settings(
        destinations=(destination("all", "all"), destination("positive", "positive"))
    )


def reports(database: Database, count: int) -> bool:
    done = {TaskKind.DELIVER}
    return (
        len(rows(database, Report)) == count
        and {task.kind for task in rows(database, Task)} <= done
    )


def sent_to(database: Database) -> list[str]:
    return [each.destination for each in rows(database, Delivery)]


def test_a_destination_of_positive_results_gets_neither_normal_nor_failed_ones(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    script = Script(small_bundle(tmp_path / "bundle", input_size=64), [NORMAL, OPACITY])
    with working(database, store, script, settings=settings()):
        for number, kind in enumerate(("normal", "lateral", "normal"), start=1):
            receive(database, store, tmp_path, kind)
            wait_until(lambda number=number: reports(database, number), "a report", seconds=60)
    assert [each.finding for each in rows(database, Report)] == ["normal", "failed", "opacity"]
    assert sent_to(database) == ["all", "all", "all", "positive"]


def test_who_was_told_of_a_finding_is_told_when_it_is_taken_back(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    study = uid()
    first = Script(small_bundle(tmp_path / "first", input_size=64), [OPACITY])
    with working(database, store, first, settings=settings()):
        receive(database, store, tmp_path, "normal", study=study)
        wait_until(lambda: reports(database, 1), "a report", seconds=60)
    assert sent_to(database) == ["all", "positive"]

    # Another bundle reads the film anew as a further one comes, and finds nothing in either.
    bundle = small_bundle(tmp_path / "second", input_size=64, version="2")
    with working(database, store, Script(bundle, [NORMAL, NORMAL]), settings=settings()):
        receive(database, store, tmp_path, "normal", study=study)
        wait_until(lambda: reports(database, 2), "a revision", seconds=60)
    assert [each.finding for each in rows(database, Report)] == ["opacity", "normal"]
    assert sent_to(database) == ["all", "positive"] * 2
