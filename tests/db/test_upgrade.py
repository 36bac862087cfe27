"""Every released schema, with data in it, becomes this version's; older programs work on beside it.

A release is its migration. What a program of that release writes are rows with the columns that its
schema had: so its statements are made from the tables as they are reflected at that version, also
when they go to a newer database, as happens while machines are upgraded one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    insert,
    select,
    update,
)

from db import migrations, reports
from db.models import Delivery, Instance, Study, Task
from db.session import Database
from db.states import TaskKind
from tests.db.makers import (
    NOON,
    Clock,
    claim,
    close_quiet,
    film,
    material,
    new_report,
    read,
    read_all,
    receive,
    rows,
    send_all,
)

RELEASED = [
    script.revision
    for script in reversed(list(ScriptDirectory.from_config(migrations._config()).walk_revisions()))
]
_numbers = itertools.count(1)


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Database]:
    """A database without any table, once of each kind."""
    url = f"sqlite:///{tmp_path / 'empty.sqlite'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    with closing(Database(url, clock=clock)) as database:
        yield database


class Release:
    """What a program of an earlier release writes: only the columns that it knows."""

    def __init__(self, database: Database, revision: str) -> None:
        """Make the tables of the release in an empty database."""
        self._database = database
        config = migrations._config()
        with database.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        self._tables = MetaData()
        self._tables.reflect(database.engine)

    def rows(self, table: str) -> list[Row[Any]]:
        """Return a table as the release sees it."""
        found = self._tables.tables[table]
        with self._database.engine.connect() as connection:
            return list(connection.execute(select(found).order_by(found.c.id)))

    def everything(self) -> dict[str, list[Row[Any]]]:
        """Return all rows of all tables that have an id."""
        names = [name for name, table in self._tables.tables.items() if "id" in table.c]
        return {name: self.rows(name) for name in names}

    def receive(self) -> int:
        """Record a film of a study of its own and its task; return the film's id."""
        with self._database.engine.begin() as connection:
            study = self._insert(connection, "study", _study())
            instance = self._insert(connection, "instance", _instance(study))
            self._insert(connection, "task", _task("read", instance))
            self._insert(connection, "event", _event(study, instance, "received"))
        return instance

    def take(self, owner: str) -> int:
        """Lease the oldest task for a worker; return its id."""
        task = self._tables.tables["task"]
        with self._database.engine.begin() as connection:
            found = connection.scalar(
                select(task.c.id).where(task.c.state == "ready").order_by(task.c.id).limit(1)
            )
            leased = {"state": "leased", "owner": owner, "lease_until": NOON + timedelta(minutes=1)}
            connection.execute(
                update(task)
                .where(task.c.id == found)
                .values(**leased, token=task.c.token + 1, attempts=task.c.attempts + 1)
            )
        assert isinstance(found, int)
        return found

    def finish_reading(self, task_id: int) -> None:
        """Record a reading of the film that a task is about, and end the task."""
        task, instance = self._tables.tables["task"], self._tables.tables["instance"]
        with self._database.engine.begin() as connection:
            subject = connection.scalar(select(task.c.subject_id).where(task.c.id == task_id))
            self._insert(connection, "reading", _reading(subject))
            connection.execute(
                update(instance)
                .where(instance.c.id == subject)
                .values(state="read", settled_at=NOON)
            )
            assert connection.execute(task.delete().where(task.c.id == task_id)).rowcount == 1

    def fill(self) -> None:
        """Give every table a row, with something in every column."""
        ids: dict[str, Any] = {}
        with self._database.engine.begin() as connection:
            for table in self._tables.sorted_tables:
                if table.name == "alembic_version":
                    continue
                given = [column for column in table.columns if column.computed is None]
                row = {column.name: _some(column, ids) for column in given}
                ids[table.name] = row
                connection.execute(insert(table).values(**row))

    def _insert(self, connection: Connection, name: str, values: Mapping[str, Any]) -> int:
        table: Table = self._tables.tables[name]
        made = connection.execute(insert(table).values(**values)).inserted_primary_key
        assert made is not None
        return int(made[0])


def _some(column: Column[Any], rows: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return a value for a column, of which `rows` has what it may refer to."""
    for key in column.foreign_keys:
        of, name = key.target_fullname.split(".")
        return rows[of][name] if of in rows else None  # itself, which must be nullable
    number = next(_numbers)
    kind = column.type
    if isinstance(kind, String):
        return f"{number:04}"[: kind.length]
    if isinstance(kind, LargeBinary):
        return str(number).encode()
    if isinstance(kind, JSON):
        return {"number": number}
    return {bool: True, int: number, float: 0.5, datetime: NOON, date: NOON.date()}[
        kind.python_type
    ]


def _study() -> dict[str, Any]:
    number = next(_numbers)
    return {
        "study_instance_uid": f"1.2.3.{number}",
        "patient_id": f"P{number}",
        "patient_name": "Müller^Ännchen=漢字",
        "patient_birth_date": "19700101",
        "patient_sex": "O",
        "accession_number": f"A{number}",
        "study_date": "20240301",
        "study_description": "Thorax",
        "source_ae": "MODALITY",
        "source_address": "127.0.0.1",
        "state": "open",
        "revision": 0,
        "created_at": NOON,
        "last_received_at": NOON,
    }


def _instance(study: int) -> dict[str, Any]:
    number = next(_numbers)
    return {
        "study_id": study,
        "series_instance_uid": f"1.2.4.{number}",
        "sop_instance_uid": f"1.2.5.{number}",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "modality": "DX",
        "station": "ROOM1",
        "path": f"films/2024/03/01/old{number}.dcm",
        "size": 10,
        "sha256": f"{number:064}",
        "file_sha256": f"{number:064}",
        "state": "received",
        "current": True,
        "source_ae": "MODALITY",
        "called_ae": "HILUM",
        "source_address": "127.0.0.1",
        "received_at": NOON,
    }


def _task(kind: str, subject: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "subject_id": subject,
        "lane": "",
        "priority": 0,
        "state": "ready",
        "not_before": NOON,
        "token": 0,
        "attempts": 0,
        "created_at": NOON,
    }


def _event(study: int, instance: int, state: str) -> dict[str, Any]:
    return {
        "at": NOON,
        "study_id": study,
        "subject": "instance",
        "subject_id": instance,
        "state": state,
    }


def _reading(instance: int | None) -> dict[str, Any]:
    return {
        "instance_id": instance,
        "bundle": "old 1",
        "device_uid": "2.25.9",
        "rows": 100,
        "columns": 80,
        "p_normal": 0.1,
        "p_not_normal": 0.2,
        "p_lung_opacity": 0.7,
        "pneumonia": 0.7,
        "finding": "opacity",
        "threshold": 0.5,
        "boxes": [{"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "score": 0.7}],
        "created_at": NOON,
    }


def version(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return migrations.version(connection)


def work_it_off(database: Database, clock: Clock) -> None:
    """Read, report and send everything, as this release does."""
    read_all(database)
    clock.move(seconds=10)
    close_quiet(database)
    finished = [
        reports.FinishedReport(
            lease, material(database, lease.subject_id), new_report(), {"pacs": ("sr", "sc")}
        )
        for lease in claim(database, TaskKind.REPORT)
    ]
    with database.write() as session:
        reports.record_reports(session, finished, now=database.now(session))
    send_all(database)


def assert_all_reported_and_sent(database: Database, films: int) -> None:
    assert [each.state for each in rows(database, Instance)] == ["read"] * films
    assert [each.state for each in rows(database, Study)] == ["reported"] * films
    assert {each.state for each in rows(database, Delivery)} == {"sent"}
    assert len(rows(database, Delivery)) == 2 * films
    assert rows(database, Task) == []


@pytest.mark.parametrize("revision", RELEASED)
def test_what_a_release_recorded_survives_the_upgrade_and_goes_on_its_way(
    revision: str, empty: Database, clock: Clock, tmp_path: Path
) -> None:
    """A film that waits, one that is being read, one that is read: all end as reported and sent."""
    old = Release(empty, revision)
    for _ in range(3):
        old.receive()
    old.finish_reading(old.take("worker@old:1"))
    old.take("worker@old:1")
    before = old.everything()
    migrations.upgrade(empty, tmp_path)
    migrations.check(empty)
    assert old.everything() == before
    with empty.write() as session:  # its worker is gone
        session.execute(update(Task).where(Task.owner.is_not(None)).values(state="ready"))
    work_it_off(empty, clock)
    assert_all_reported_and_sent(empty, 3)


@pytest.mark.parametrize("revision", RELEASED)
def test_roles_of_an_older_release_work_beside_this_one_while_machines_are_upgraded(
    revision: str, empty: Database, clock: Clock, tmp_path: Path
) -> None:
    """A listener and a worker that began before the upgrade know nothing of it, and do no harm."""
    old = Release(empty, revision)
    old.receive()
    under_way = old.take("worker@old:1")
    migrations.upgrade(empty, tmp_path)
    receive(empty, film())
    old.receive()
    old.finish_reading(under_way)
    old.finish_reading(old.take("worker@old:1"))  # the new listener's film
    (lease,) = claim(empty, TaskKind.READ)  # the old listener's film
    read(empty, lease)
    work_it_off(empty, clock)
    assert_all_reported_and_sent(empty, 3)


@pytest.mark.parametrize("revision", RELEASED[:-1])
def test_the_way_back_to_a_release_keeps_what_it_knows(
    revision: str, empty: Database, clock: Clock, tmp_path: Path
) -> None:
    """After a rollback the older program finds what it wrote, and what this one wrote since."""
    old = Release(empty, revision)
    old.receive()
    migrations.upgrade(empty, tmp_path)
    receive(empty, film())
    work_it_off(empty, clock)
    known = old.everything()
    migrations.take_back(empty, tmp_path, revision)
    assert version(empty) == revision
    assert old.everything() == known
    old.receive()
    old.finish_reading(old.take("worker@old:1"))
    assert len(old.rows("reading")) == 3


@pytest.mark.parametrize("revision", RELEASED)
def test_a_row_of_every_table_of_a_release_survives_the_upgrade_and_the_way_back(
    revision: str, empty: Database, tmp_path: Path
) -> None:
    old = Release(empty, revision)
    old.fill()
    before = old.everything()
    assert all(before.values())
    migrations.upgrade(empty, tmp_path)
    migrations.check(empty)
    assert old.everything() == before
    if revision != RELEASED[-1]:
        migrations.take_back(empty, tmp_path, revision)
        assert old.everything() == before


def test_the_schema_goes_back_only_to_what_it_came_from(empty: Database, tmp_path: Path) -> None:
    Release(empty, RELEASED[1])
    older = RELEASED[0]
    for nowhere in ("9999", RELEASED[1], RELEASED[-1]):
        with pytest.raises(migrations.SchemaError, match=f"back to {nowhere}; .* {older}\\."):
            migrations.take_back(empty, tmp_path, nowhere)
    assert version(empty) == RELEASED[1]
