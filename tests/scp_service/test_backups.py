"""The backup of the day: made once, told in the trail, an alarm until it is whole again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from db.backup import check_backup, kept, sealed
from db.files import FileStore
from db.models import Alarm, Result
from db.session import Database
from scp_service.schedule import Jobs
from tests.db.makers import Clock, rows
from tests.scp_service.running import configured
from tests.scp_service.test_schedule import stored_study

SECRET = "correct horse"


@pytest.fixture(autouse=True)
def _cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SCRYPT_LOG_N", 4)


@pytest.fixture
def database(fresh_sqlite: Callable[[], str], clock: Clock) -> Iterator[Database]:
    with closing(Database(fresh_sqlite(), clock=clock)) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "backups"
    made.mkdir()
    return made


def backing_up(database: Database, store: FileStore, folder: Path, **values: Any) -> Jobs:
    given = {"passphrase": SECRET, "folder": str(folder), "keep_days": 7, **values}
    settings = configured(store.root, **{f"backup__{key}": each for key, each in given.items()})
    return Jobs(settings, database, store, "schedule@test:1")


def alarms(database: Database) -> list[tuple[str, bool]]:
    """Return what alarms say, and whether they stand."""
    return [(each.sentence, each.cleared_at is None) for each in rows(database, Alarm)]


def test_one_is_made_a_day_and_old_ones_go(
    database: Database, store: FileStore, folder: Path, clock: Clock
) -> None:
    stored_study(database, store, clock)
    jobs = backing_up(database, store, folder)
    for _ in range(10):
        jobs.back_up()
        jobs.back_up()
        clock.move(hours=12)
        jobs.back_up()
        clock.move(hours=12)
    found = kept(folder)
    assert len({each.made_at.date() for each in found}) == len(found) == 8
    assert check_backup(found[0].path, SECRET).files >= 2
    assert alarms(database) == []
    (day,) = (store.root / "audit").glob("*.audit")
    assert day.read_text().count('"110132"') == 10


def test_where_a_result_is_missing_no_old_backup_goes_and_an_alarm_stands(
    database: Database, store: FileStore, folder: Path, clock: Clock
) -> None:
    _, (_, result) = stored_study(database, store, clock)
    jobs = backing_up(database, store, folder)
    jobs.back_up()
    clock.move(days=30)
    lost = result.read_bytes()
    result.unlink()
    jobs.back_up()
    assert len(kept(folder)) == 2
    ((sentence, stands),) = alarms(database)
    assert stands
    assert "1 files that the history names are missing" in sentence
    assert str(rows(database, Result)[0].path) not in sentence
    result.write_bytes(lost)
    clock.move(days=1)
    jobs.back_up()
    assert len(kept(folder)) == 2
    assert alarms(database) == [(sentence, False)]


def test_a_folder_that_is_not_mounted_is_not_made_and_is_told(
    database: Database, store: FileStore, folder: Path
) -> None:
    jobs = backing_up(database, store, folder / "mounted")
    jobs.back_up()
    assert not (folder / "mounted").exists()
    assert "no such folder; make it or mount it" in alarms(database)[0][0]
    (folder / "mounted").mkdir()
    jobs.back_up()
    assert [stands for _, stands in alarms(database)] == [False]


def test_a_passphrase_that_cannot_be_read_is_told(
    database: Database, store: FileStore, folder: Path
) -> None:
    backing_up(database, store, folder, passphrase=f"file:{folder}/none").back_up()
    ((sentence, _),) = alarms(database)
    assert "the secret's file" in sentence
    assert list(folder.iterdir()) == []


def test_a_folder_needs_a_passphrase(store: FileStore, folder: Path) -> None:
    with pytest.raises(Exception, match="a folder needs a passphrase"):
        configured(store.root, backup__folder=str(folder))
