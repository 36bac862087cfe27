"""Settings while a process runs: changes are taken up, and what does not fit changes nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from db import changes
from db.live import Live
from db.session import Database
from db.states import ChangeKind, ConfigurationPart
from settings import Loaded, SettingsError, load
from tests.db.makers import Clock

PACS = {"name": "pacs", "kind": "dicom", "ae_title": "PACS", "host": "h", "port": 104}
DESTINATION = ConfigurationPart.DESTINATION


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return load({"data_dir": tmp_path}, environ={})


def change(
    database: Database,
    kind: ChangeKind,
    values: dict[str, Any] | None = None,
    name: str = "pacs",
    part: ConfigurationPart = DESTINATION,
) -> int:
    with database.write() as session:
        now = database.now(session)
        made = changes.record(
            session, part, name, kind, values=values, was=None, by="ada", reason=None, now=now
        )
        return made.id


def names(live: Live) -> list[str]:
    return [each.name for each in live().destinations]


def test_the_latest_change_of_each_holds(database: Database, loaded: Loaded) -> None:
    live = Live(loaded, database, look_seconds=0)
    assert names(live) == []
    change(database, ChangeKind.SET, PACS)
    assert names(live) == ["pacs"]
    change(database, ChangeKind.SET, {**PACS, "name": "other"}, "other")
    change(database, ChangeKind.SET, {**PACS, "port": 105})
    assert [each.port for each in live().destinations] == [104, 105]  # type: ignore[attr-defined]
    change(database, ChangeKind.REMOVED, name="other")
    change(database, ChangeKind.SET, {"ae_title": "CR"}, "CR@0.0.0.0/0", ConfigurationPart.PEER)
    assert names(live) == ["pacs"]
    assert [each.ae_title for each in live().peers] == ["CR"]
    change(database, ChangeKind.AS_FILE)
    assert names(live) == []


def test_the_database_is_asked_no_more_often_than_it_should(
    database: Database, loaded: Loaded
) -> None:
    now = 0.0
    live = Live(loaded, database, look_seconds=2, clock=lambda: now)
    assert names(live) == []
    change(database, ChangeKind.SET, PACS)
    now = 1.9
    assert names(live) == []
    now = 2.0
    assert names(live) == ["pacs"]
    change(database, ChangeKind.REMOVED)
    live.take_up()
    assert names(live) == []


def test_what_does_not_fit_is_told_once_and_changes_nothing(
    database: Database, loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    live = Live(loaded, database, look_seconds=0)
    change(database, ChangeKind.SET, PACS)
    assert names(live) == ["pacs"]
    change(database, ChangeKind.SET, {**PACS, "port": "many"})
    with caplog.at_level(logging.ERROR):
        assert names(live) == names(live) == ["pacs"]
    assert len(caplog.records) == 1
    assert "destinations[0].port" in caplog.text
    with pytest.raises(SettingsError, match="port"):
        Live(loaded, database).take_up()


def test_a_database_that_does_not_answer_changes_nothing(
    tmp_path: Path, loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Database(f"sqlite:///{tmp_path / 'no' / 'such.sqlite'}")
    assert names(Live(loaded, gone)) == []
    gone.close()
    assert "It is not known what was changed in the console" in caplog.text


def test_the_way_back_of_a_change_is_what_held_before_it(database: Database, clock: Clock) -> None:
    first = change(database, ChangeKind.SET, PACS)
    change(database, ChangeKind.SET, PACS, "other")
    second = change(database, ChangeKind.REMOVED)
    with database.read() as session:
        found = changes.latest(session, DESTINATION, "pacs")
        assert found is not None
        assert found.id == second
        before = changes.before(session, found)
        assert before is not None
        assert (before.id, before.values) == (first, PACS)
        assert changes.before(session, before) is None
        assert changes.last_id(session) == second
