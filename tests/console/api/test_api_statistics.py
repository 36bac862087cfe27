"""Figures by the API."""

from __future__ import annotations

import pytest

from db.session import Database
from tests.console.api.calling import Program, refused
from tests.db.makers import Clock, film, new_report, reported_study, send_all


@pytest.fixture
def _studies(database: Database, clock: Clock) -> None:
    for share, finding in ((0.9, "opacity"), (0.6, "opacity"), (0.2, "normal")):
        made = new_report(probability=share, finding=finding)
        reported_study(database, clock, film(source_ae="CR1"), made=made)
    send_all(database)


@pytest.mark.usefixtures("_studies")
def test_the_work_of_a_period_is_told(reading: Program) -> None:
    told = reading.get("/statistics/flow?since=2024-03-01T00:00:00Z").json()
    assert (told["length"], told["received"]) == ("hour", 3)
    assert [each["received"] for each in told["steps"]] == [0] * 12 + [3]
    assert [(each["destination"], each["sent"]) for each in told["destinations"]] == [("pacs", 6)]
    assert told["stations"][0]["source"] == "CR1"
    assert told["latency"]["count"] >= 3
    none = reading.get("/statistics/flow?source=CR2&since=2024-03-01T00:00:00Z").json()
    assert none["received"] == 0


@pytest.mark.usefixtures("_studies")
def test_another_threshold_is_tried_on_what_was(reading: Program) -> None:
    everything, one = reading.get("/statistics/threshold?threshold=0.7").json()["items"]
    assert everything == {
        "source": "",
        "studies": 3,
        "positive": 2,
        "gained": 0,
        "lost": 1,
        "then_positive": 1,
    }
    assert one == {**everything, "source": "CR1"}
    refused(reading.get("/statistics/threshold"), 422)


@pytest.mark.usefixtures("_studies")
def test_readings_are_told_by_source_and_station(reading: Program) -> None:
    found = reading.get("/statistics/drift").json()["items"]
    places = [(each["source"], each["station"], each["films"]) for each in found]
    assert places == [("", "", 3), ("CR1", "", 3), ("CR1", "ROOM1", 3)]
    assert reading.get("/statistics/shadow").json()["items"] == []


@pytest.mark.parametrize("noun", ["flow", "drift", "shadow", "threshold"])
def test_a_period_that_is_none_is_refused(reading: Program, noun: str) -> None:
    path = f"/statistics/{noun}?threshold=0.5" if noun == "threshold" else f"/statistics/{noun}?"
    for period in (
        "&since=2024-03-02T00:00:00Z&until=2024-03-01T00:00:00Z",
        "&since=1990-03-02T00:00:00Z",
    ):
        refused(reading.get(path + period), 422)
    for period in ("&since=2024-03-02T00:00:00Z", "&until=1900-01-01T00:00:00Z"):
        assert reading.get(path + period).status_code == 200
