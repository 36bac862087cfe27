"""`hilum sums`: the sums are made anew from what is kept."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner, Result

from db import migrations
from db.models import FilmSum
from db.session import Database
from hilum import app
from tests.db.databases import fast_folder
from tests.db.makers import Clock, film, receive, rows

__all__ = ["fast_folder"]


def sums() -> Result:
    return CliRunner().invoke(app, ["sums"])


def test_sums_are_made_anew_from_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, fast_folder: Path
) -> None:
    monkeypatch.setenv("HILUM_DATA_DIR", str(fast_folder))
    clock = Clock(datetime.now(UTC) - timedelta(hours=3))
    with closing(Database(f"sqlite:///{fast_folder / 'hilum.sqlite'}", clock=clock)) as database:
        migrations.upgrade(database, fast_folder)
        assert sums().output.startswith("Nothing has come yet")
        receive(database, film())
        told = sums()
        assert (told.exit_code, told.output.endswith("is summed up.\n")) == (0, True), told.output
        assert {each.received for each in rows(database, FilmSum)} == {1}
        with database.write() as session:
            session.execute(update(FilmSum).values(received=5))
        sums()
        assert {each.received for each in rows(database, FilmSum)} == {1}
