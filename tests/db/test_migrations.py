"""Schema versions: the migrations make the models' tables, once, and refuse what is newer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from db import bundles, migrations
from db.models import Base, Task
from db.session import Database
from db.states import TaskKind
from tests import peers
from tests.db.makers import (
    SECOND,
    claim_one,
    film,
    read,
    read_all,
    read_in_shadow,
    receive,
    rows,
    study_of,
)


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    with closing(Database(empty_url)) as database:
        yield database


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def test_an_upgrade_from_nothing_makes_exactly_the_models_tables(
    empty: Database, tmp_path: Path
) -> None:
    migrations.upgrade(empty, tmp_path)
    assert tables(empty) == {*Base.metadata.tables, "alembic_version"}
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_what_alembic_does_not_compare_is_the_same_too(empty: Database, tmp_path: Path) -> None:
    """Partial indexes and SQLite's AUTOINCREMENT."""
    migrations.upgrade(empty, tmp_path)
    made = schema_text(empty)
    with empty.engine.begin() as connection:
        command.downgrade(with_connection(connection), "base")
    Base.metadata.create_all(empty.engine)
    assert schema_text(empty) == made


def schema_text(database: Database) -> dict[str, str]:
    """Return the indexes' definitions, and with SQLite whether ids are used once."""
    with database.engine.connect() as connection:
        if database.is_sqlite:
            found = connection.execute(
                text("SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL")
            )
            return {
                name: sql if kind == "index" else str("AUTOINCREMENT" in sql)
                for name, kind, sql in found
                if not name.startswith(("sqlite_", "alembic_"))
            }
        found = connection.execute(
            text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
        )
        return {name: sql for name, sql in found if not name.startswith("alembic_")}


def with_connection(connection: object) -> object:
    config = migrations._config()
    config.attributes["connection"] = connection
    return config


def test_the_versions_are_those_that_the_migrations_themselves_tell() -> None:
    scripts = ScriptDirectory.from_config(migrations._config())
    assert migrations.newest() == scripts.get_current_head()
    told = {script.revision for script in scripts.walk_revisions()}
    assert all(migrations.is_known(each) for each in told)
    assert not migrations.is_known("9999")
    assert len(list(Path(migrations.__file__).parent.glob("versions/*.py"))) == len(told)


def test_a_start_with_a_current_schema_does_not_load_alembic(
    empty: Database, tmp_path: Path
) -> None:
    migrations.upgrade(empty, tmp_path)
    code = """
import sys
from contextlib import closing
from pathlib import Path
from db import migrations
from db.session import Database

with closing(Database(sys.argv[1])) as database:
    migrations.upgrade(database, Path(sys.argv[2]))
    migrations.check(database)
sys.exit("alembic" in sys.modules)
"""
    command = [sys.executable, "-c", code, empty.url, str(tmp_path)]
    subprocess.run(command, check=True, cwd=peers.ROOT)


def test_an_upgrade_of_what_is_current_changes_nothing(empty: Database, tmp_path: Path) -> None:
    migrations.upgrade(empty, tmp_path)
    receive(empty, film())
    migrations.upgrade(empty, tmp_path)
    migrations.check(empty)
    with empty.read() as session:
        assert session.scalar(text("SELECT count(*) FROM study")) == 1


def test_the_way_back_to_nothing(empty: Database, tmp_path: Path) -> None:
    migrations.upgrade(empty, tmp_path)
    receive(empty, film())
    with empty.engine.connect() as connection:
        command.downgrade(with_connection(connection), "base")
    assert tables(empty) == {"alembic_version"}
    migrations.upgrade(empty, tmp_path)
    migrations.check(empty)


def test_a_database_of_the_first_version_keeps_its_rows(empty: Database, tmp_path: Path) -> None:
    """The tables of bundles are added, and what was received before goes on its way."""
    migrations.upgrade(empty, tmp_path)
    first = film()
    receive(empty, first)
    with empty.engine.connect() as connection:
        command.downgrade(with_connection(connection), "0001")
    assert "bundle_choice" not in tables(empty)
    migrations.upgrade(empty, tmp_path)
    with empty.write() as session:
        bundles.shadow(session, SECOND, by="test", reason=None, now=empty.now(session))
    assert read_all(empty) == 1
    assert read_in_shadow(empty) == 1
    with empty.read() as session:
        assert [each.path for each in study_of(session, first).instances] == [first.path]


def test_the_way_back_to_the_first_version_keeps_what_it_knows(
    empty: Database, tmp_path: Path
) -> None:
    migrations.upgrade(empty, tmp_path)
    with empty.write() as session:
        bundles.shadow(session, SECOND, by="test", reason=None, now=empty.now(session))
    receive(empty, film(), film())
    read(empty, claim_one(empty, TaskKind.READ, limit=1))
    assert {each.kind for each in rows(empty, Task)} == {"read", "shadow"}
    with empty.engine.connect() as connection:
        command.downgrade(with_connection(connection), "0001")
    with empty.read() as session:
        assert session.scalars(text("SELECT DISTINCT kind FROM task")).all() == ["read"]
        assert session.scalar(text("SELECT count(*) FROM reading")) == 1
    assert not tables(empty) & {"bundle_choice", "bundle_problem", "shadow_reading"}


def test_a_newer_database_is_refused_and_left_alone(empty: Database, tmp_path: Path) -> None:
    migrations.upgrade(empty, tmp_path)
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = tables(empty)
    for use in (lambda: migrations.upgrade(empty, tmp_path), lambda: migrations.check(empty)):
        with pytest.raises(
            migrations.SchemaError,
            match=r"schema version 9999, which is newer than this program; use the program",
        ):
            use()
    assert tables(empty) == before


def test_a_database_without_tables_is_named_as_such(empty: Database) -> None:
    with pytest.raises(migrations.SchemaError, match="no tables of this version yet"):
        migrations.check(empty)
    assert tables(empty) == set()


def test_a_failed_upgrade_leaves_nothing_half_done(empty: Database, tmp_path: Path) -> None:
    with empty.engine.connect() as connection, connection.begin():
        connection.execute(text("CREATE TABLE delivery (id int)"))  # in the migration's way
    with pytest.raises(DBAPIError, match="delivery"):
        migrations.upgrade(empty, tmp_path)
    assert tables(empty) <= {"alembic_version", "delivery"}
    with empty.engine.connect() as connection, connection.begin():
        connection.execute(text("DROP TABLE delivery"))
    migrations.upgrade(empty, tmp_path)
    migrations.check(empty)


UPGRADER = """
import sys
from pathlib import Path
from db import migrations
from db.session import Database

database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
migrations.upgrade(database, Path(sys.argv[2]))
migrations.check(database)
database.close()
"""


def test_programs_that_start_together_upgrade_once(empty_url: str, tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADER, empty_url, str(tmp_path)],
            cwd=peers.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
