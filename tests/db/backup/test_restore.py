"""Backup and restore of rows and files, from either kind of database to either kind."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Table, select, text

from db import migrations, retention
from db.backup import BackupError, Packed, Restored, pack, restore_backup, write_backup
from db.backup import rows as backup_rows
from db.backup.unpack import RESTORING
from db.files import FileStore
from db.models import Base, Instance, Result, Study
from db.session import Database
from db.states import TaskKind
from tests.db.makers import (
    NOON,
    Clock,
    claim,
    film,
    receive,
    reported_study,
    rows,
    send_all,
    study_of,
)
from tests.peers import Postgres

SECRET = "correct horse"


@dataclass(frozen=True, slots=True)
class Site:
    """A database with its data folder."""

    database: Database
    store: FileStore
    backups: Path

    def back_up(self, name: str = "one.backup") -> tuple[Path, Packed]:
        """Make a backup."""
        file = self.backups / name
        return file, write_backup(file, self.database, self.store, SECRET, now=NOON)


@pytest.fixture
def site(database: Database, clock: Clock, tmp_path: Path) -> Site:
    """A site that has reported one study, holds a film that waits, and has a bundle."""
    store = FileStore(tmp_path / "data")
    store.prepare()
    reported_study(database, clock, film(patient_name="Müller^Jürgen=山田^太郎"))
    receive(database, film())
    claim(database, TaskKind.READ)
    _give_files(database, store)
    (store.root / "bundles" / "second" / "2").mkdir(parents=True)
    (store.root / "bundles" / "second" / "2" / "bundle.json").write_text("{}")
    return Site(database, store, tmp_path)


def _give_files(database: Database, store: FileStore) -> None:
    """Write what the rows name."""
    with database.write() as session:
        for table in (Instance, Result):
            for row in session.scalars(select(table)):
                content = row.path.encode() * 5_000
                path = store.path(row.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                row.file_sha256 = hashlib.sha256(content).hexdigest()


@pytest.fixture(params=["sqlite", "postgres"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'hilum.sqlite'}"
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.database(f"new_{uuid.uuid4().hex[:12]}")


@pytest.fixture
def new_store(tmp_path: Path) -> FileStore:
    """A data folder that is not there yet."""
    return FileStore(tmp_path / "new")


def restore(file: Path, url: str, store: FileStore, secret: str = SECRET) -> Restored:
    return restore_backup(file, url, store, secret)


def everything(database: Database) -> dict[str, list[Any]]:
    """Return all rows of all tables."""
    with database.read() as session:
        return {
            table.name: [
                tuple(row)
                for row in session.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in Base.metadata.sorted_tables
        }


def files_of(store: FileStore) -> dict[str, bytes]:
    """Return what lies in the folders that are backed up."""
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for tree in ("films", "results", "bundles", "audit")
        for path in (store.root / tree).rglob("*")
        if path.is_file()
    }


def test_rows_and_files_come_back_the_same_in_either_kind_of_database(
    site: Site, target_url: str, new_store: FileStore
) -> None:
    file, packed = site.back_up()
    restored = restore(file, target_url, new_store)
    assert (packed.missing, packed.damaged) == (0, 0)
    assert (restored.rows, restored.files) == (packed.rows, packed.files)
    assert restored.made_at == NOON
    with closing(Database(target_url)) as database:
        migrations.check(database)
        assert everything(database) == everything(site.database)
        assert "Müller^Jürgen=山田^太郎" in {each.patient_name for each in rows(database, Study)}
    assert files_of(new_store) == files_of(site.store)
    assert not (new_store.root / RESTORING).exists()


def test_work_goes_on_and_no_id_is_given_twice(
    site: Site, clock: Clock, target_url: str, new_store: FileStore
) -> None:
    gone = rows(site.database, Study)[-1]
    with site.database.write() as session:
        retention.forget(session, gone.id, reason="test", now=clock.now)
    file, _ = site.back_up()
    restore(file, target_url, new_store)
    with closing(Database(target_url, clock=clock)) as database:
        send_all(database)
        made = film()
        receive(database, made)
        with database.read() as session:
            assert study_of(session, made).id > gone.id


def test_a_backup_shows_one_moment_however_much_comes_while_it_is_made(
    site: Site, target_url: str, new_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = pack.dumped

    def with_traffic(connection: Any) -> Iterator[tuple[str, bytes]]:
        for batch in dump(connection):
            receive(site.database, film())
            yield batch

    before = everything(site.database)
    monkeypatch.setattr(pack, "dumped", with_traffic)
    file, _ = site.back_up()
    restore(file, target_url, new_store)
    assert everything(site.database)["study"] != before["study"]
    with closing(Database(target_url)) as database:
        assert everything(database) == before


def test_missing_and_damaged_files_are_counted(site: Site) -> None:
    first, second, *_ = (each.path for each in rows(site.database, Result))
    site.store.remove(first)
    site.store.path(second).write_bytes(b"other")
    _, packed = site.back_up()
    assert (packed.missing, packed.damaged) == (1, 1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestRefusals:
    """What a restore does not do, and leaves everything as it was."""

    def test_a_backup_overwrites_no_file(self, site: Site) -> None:
        file, _ = site.back_up()
        before = file.read_bytes()
        with pytest.raises(BackupError, match="exists already"):
            site.back_up()
        assert file.read_bytes() == before

    def test_a_data_folder_with_something_in_it(self, site: Site, new_store: FileStore) -> None:
        file, _ = site.back_up()
        new_store.prepare()
        with pytest.raises(BackupError, match="not empty"):
            restore(file, f"sqlite:///{new_store.root / 'hilum.sqlite'}", new_store)
        assert not (new_store.root / RESTORING).exists()

    def test_a_database_with_rows(
        self,
        site: Site,
        new_store: FileStore,
        fresh_postgres: Callable[[], str],
    ) -> None:
        file, _ = site.back_up()
        url = fresh_postgres()
        with closing(Database(url)) as database:
            receive(database, film())
        with pytest.raises(BackupError, match="the database has rows"):
            restore(file, url, new_store)

    def test_a_wrong_passphrase_leaves_nothing(self, site: Site, new_store: FileStore) -> None:
        file, _ = site.back_up()
        with pytest.raises(BackupError, match="passphrase is not the one"):
            restore(file, "sqlite:////nowhere/x", new_store, "wrong")
        assert not new_store.root.exists()

    def test_a_file_that_is_cut_off_leaves_nothing(self, site: Site, new_store: FileStore) -> None:
        file, _ = site.back_up()
        file.write_bytes(file.read_bytes()[:-1000])
        with pytest.raises(BackupError, match="damaged"):
            restore(file, f"sqlite:///{new_store.root / 'hilum.sqlite'}", new_store)
        assert list(new_store.root.iterdir()) == []

    def test_a_newer_schema(self, site: Site, new_store: FileStore) -> None:
        with site.database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        file, _ = site.back_up()
        with pytest.raises(BackupError, match=r"newer Hilum \(schema version 9999\)"):
            restore(file, f"sqlite:///{new_store.root / 'hilum.sqlite'}", new_store)
        assert list(new_store.root.iterdir()) == []


def test_a_backup_of_an_earlier_schema_is_brought_to_this_one(
    tmp_path: Path, new_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path / "old")
    store.prepare()
    with closing(Database(f"sqlite:///{tmp_path / 'old.sqlite'}")) as database:
        migrations.upgrade(database, tmp_path, "0002")
        with database.engine.begin() as connection:
            tables = backup_rows.tables(connection)
            known = {"id": 7, "patient_id": "4711", "state": "open", "revision": 0}
            connection.execute(tables["study"].insert().values(**known | _filled(tables["study"])))
        with monkeypatch.context() as earlier:
            then = tables["study"].metadata
            then.remove(then.tables["alembic_version"])
            as_of_then = SimpleNamespace(metadata=then)
            earlier.setattr(backup_rows, "Base", as_of_then)
            write_backup(tmp_path / "old.backup", database, store, SECRET, now=NOON)
    url = f"sqlite:///{new_store.root / 'hilum.sqlite'}"
    restore(tmp_path / "old.backup", url, new_store)
    with closing(Database(url)) as database:
        migrations.check(database)
        assert [(each.id, each.patient_id) for each in rows(database, Study)] == [(7, "4711")]


def _filled(table: Table) -> dict[str, object]:
    """Return some value for every column of the old study table that needs one."""
    return {
        column.name: NOON if issubclass(column.type.python_type, datetime) else "x"
        for column in table.columns
        if not column.nullable and column.name not in {"id", "patient_id", "state", "revision"}
    }
