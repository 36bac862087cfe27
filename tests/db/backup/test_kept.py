"""Which backup is due, which go by their age, and that a broken newest one costs no older one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db.backup import BackupError, check_backup, is_due, kept, name_of, prune, write_backup
from db.files import FileStore
from db.session import Database
from tests.db.makers import film, receive

SECRET = "correct horse"
NOW = datetime(2026, 3, 10, 1, 30, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where backups go."""
    made = tmp_path / "backups"
    made.mkdir()
    return made


Make = Callable[[float], Path]


@pytest.fixture
def make(fresh_sqlite: Callable[[], str], folder: Path, tmp_path: Path) -> Iterator[Make]:
    """Makes a real backup of so many days ago."""
    store = FileStore(tmp_path / "data")
    store.prepare()
    with closing(Database(fresh_sqlite())) as database:

        def made(days: float) -> Path:
            receive(database, film())
            at = NOW - timedelta(days=days)
            file = folder / name_of(at)
            write_backup(file, database, store, SECRET, now=at)
            return file

        yield made


def there(folder: Path) -> set[Path]:
    return set(folder.iterdir())


@pytest.mark.parametrize(
    ("made", "due"),
    [
        ([], True),
        (["2026-03-10T01:00"], False),
        (["2026-03-10T01:29"], False),
        (["2026-03-10T00:59"], True),
        (["2026-03-08T12:00", "2026-03-09T01:00"], True),
        (["2030-01-01T00:00"], True),
    ],
)
def test_one_is_due_a_day_from_its_hour_on(folder: Path, made: list[str], due: bool) -> None:
    for each in made:
        (folder / name_of(datetime.fromisoformat(each).replace(tzinfo=UTC))).touch()
    assert is_due(folder, 1, NOW) is due


def test_before_its_hour_the_day_before_counts(folder: Path) -> None:
    (folder / name_of(NOW - timedelta(hours=20))).touch()
    assert not is_due(folder, 5, NOW)
    assert is_due(folder, 1, NOW)


def test_what_is_older_goes_and_nothing_else(folder: Path, make: Make) -> None:
    old, young, newest = make(30.1), make(29.9), make(0)
    others = {folder / name for name in ("hilum.backup", "hilum-1.backup", "notes.txt")}
    for each in others:
        each.touch()
    assert prune(folder, 30, SECRET, NOW) == 1
    assert there(folder) == {young, newest, *others}
    assert old not in there(folder)


def test_the_newest_stays_however_old_it_is(folder: Path, make: Make) -> None:
    _, newest = make(500), make(400)
    assert prune(folder, 30, SECRET, NOW) == 1
    assert there(folder) == {newest}
    assert prune(folder, 30, SECRET, NOW) == 0


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_where_the_newest_is_not_whole_all_stay(
    folder: Path, make: Make, damage: Callable[[Path], None]
) -> None:
    make(50), make(40)
    newest = make(0)
    damage(newest)
    before = there(folder)
    with pytest.raises(BackupError, match=r"the newest backup, cannot be restored, so no older"):
        prune(folder, 30, SECRET, NOW)
    assert there(folder) == before


def test_where_the_passphrase_is_another_all_stay(folder: Path, make: Make) -> None:
    make(50), make(0)
    with pytest.raises(BackupError, match="passphrase is not the one"):
        prune(folder, 30, "another", NOW)
    assert len(there(folder)) == 2


def test_what_a_backup_that_was_killed_has_left_goes_after_a_day(folder: Path) -> None:
    left, young, strange = (
        folder / f"{name}.part" for name in (name_of(NOW), name_of(NOW - timedelta(1)), "x.backup")
    )
    for path, age in ((left, 25), (young, 23), (strange, 25)):
        path.touch()
        moment = (NOW - timedelta(hours=age)).timestamp()
        os.utime(path, (moment, moment))
    prune(folder, 30, SECRET, NOW)
    assert there(folder) == {young, strange}


def test_a_whole_backup_says_of_when_it_is(make: Make) -> None:
    assert check_backup(make(2), SECRET).made_at == NOW - timedelta(days=2)


def test_names_tell_the_time_in_utc(folder: Path, make: Make) -> None:
    make(2)
    assert [each.made_at for each in kept(folder)] == [NOW - timedelta(days=2)]
