"""Verdicts by the API."""

from __future__ import annotations

import pytest

from console.context import Context
from console.security.scopes import Scope
from db.models import StoredReading, Verdict
from db.session import Database
from db.states import UserRole
from tests.console.api.calling import Program, program, refused
from tests.db.makers import Clock, film, reported_study, rows


@pytest.fixture
def study_id(database: Database, clock: Clock) -> int:
    """A study that is reported."""
    return reported_study(database, clock, film())


def test_a_reader_gives_a_verdict_once(context: Context, database: Database, study_id: int) -> None:
    (reading,) = rows(database, StoredReading)
    box = {"x": 1.0, "y": 2.0, "width": 30.0, "height": 40.0}
    body = {"reading_id": reading.id, "finding": "opacity", "boxes": [box], "comment": "a\nb"}
    path = f"/studies/{study_id}/verdicts"
    with program(context, UserRole.READER, Scope.READ) as them:
        first, again = (them.post(path, body, key="k1") for _ in range(2))
        assert first.status_code == again.status_code == 201, first.text
        assert first.content == again.content
        (told,) = them.get(path).json()["items"]
        assert told == first.json()
        assert (told["by"], told["boxes"], told["comment"]) == (them.name, [box], "a\nb")
        (agreed,) = them.get("/verdicts/agreement?by=source").json()["items"]
        assert (agreed["group"], agreed["verdicts"]) == ("MODALITY", 1)
        assert them.get("/verdicts/agreement?until=2024-03-01T00:00:00Z").json()["items"] == []
    assert len(rows(database, Verdict)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"finding": "maybe"},
        {"finding": "normal", "boxes": [{"x": 1, "y": 1, "width": 9, "height": 9}]},
        {"boxes": [{"x": 1, "y": 1, "width": 0, "height": 9}]},
        {"boxes": [{"x": 1, "y": 1, "width": 9}]},
        {"boxes": [{"x": "1", "y": 1, "width": 9, "height": 9}]},
        {"reading_id": 99},
        {"comment": "x" * 4001},
    ],
)
def test_a_verdict_that_does_not_hold_together_is_refused(
    everything: Program, database: Database, study_id: int, change: dict
) -> None:
    (reading,) = rows(database, StoredReading)
    body = {"reading_id": reading.id, "finding": "opacity", **change}
    refused(everything.post(f"/studies/{study_id}/verdicts", body), 422)
    assert rows(database, Verdict) == []


def test_a_verdict_is_on_a_reading_of_its_study(
    everything: Program, database: Database, clock: Clock, study_id: int
) -> None:
    other = reported_study(database, clock, film())
    reading = rows(database, StoredReading)[0]
    body = {"reading_id": reading.id, "finding": "normal"}
    refused(everything.post(f"/studies/{other}/verdicts", body), 422)
    refused(everything.post("/studies/99/verdicts", body), 404)
    assert everything.post(f"/studies/{study_id}/verdicts", body).status_code == 201
