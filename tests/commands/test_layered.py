"""Commands that only look see what was changed in the console, and make no database for it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from commands.layered import layered
from db import changes, migrations
from db.session import Database
from db.states import ChangeKind, ConfigurationPart
from settings import load
from settings.layers import CONSOLE

PACS = {"name": "pacs", "kind": "dicom", "ae_title": "PACS", "host": "h", "port": 104}


def test_config_tells_what_the_console_changed(tmp_path: Path) -> None:
    loaded = load({"data_dir": tmp_path}, environ={})
    assert layered(loaded) == (loaded, None)
    assert list(tmp_path.iterdir()) == []
    with closing(Database(loaded.settings.database)) as database:
        migrations.upgrade(database, tmp_path)
        with database.write() as session:
            changes.record(
                session,
                ConfigurationPart.DESTINATION,
                "pacs",
                ChangeKind.SET,
                values=PACS,
                was=None,
                by="ada",
                reason=None,
                now=database.now(session),
            )
    found, note = layered(loaded)
    assert note is None
    assert found.settings.destination("pacs") is not None
    assert found.origins["destinations[0]"] == CONSOLE


def test_a_database_that_cannot_be_asked_is_told(tmp_path: Path) -> None:
    (tmp_path / "hilum.sqlite").write_text("no database")
    loaded = load({"data_dir": tmp_path}, environ={})
    found, note = layered(loaded)
    assert found == loaded
    assert "does not answer" in (note or "")
