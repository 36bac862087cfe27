"""`hilum schema`: which version the database has, and the way back for an older program."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from db import migrations
from db.session import Database
from hilum import app


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The database of a data folder, without a table."""
    monkeypatch.setenv("HILUM_DATA_DIR", str(tmp_path))
    return Database(f"sqlite:///{tmp_path / 'hilum.sqlite'}")


def version(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return migrations.version(connection)


def schema(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["schema", *arguments])


def test_the_version_is_printed_and_taken_back(database: Database, tmp_path: Path) -> None:
    with closing(database):
        assert schema().output == "no tables yet\n"
        migrations.upgrade(database, tmp_path)
        assert schema().output.strip() == version(database)
        back = schema("--to", "0001")
        assert (back.output, back.exception) == ("0001\n", None)
        assert version(database) == "0001"


def test_there_is_no_way_back_to_a_version_that_never_was(
    database: Database, tmp_path: Path
) -> None:
    with closing(database):
        migrations.upgrade(database, tmp_path)
        refused = schema("--to", "9999")
        assert isinstance(refused.exception, migrations.SchemaError)
