"""Questions to the history: each filter alone, filters together, pages, one study by any key."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from db import history
from db.history import Filter
from db.models import Study
from db.session import Database
from db.states import StudyState
from tests.db.makers import (
    NOON,
    Clock,
    film,
    new_report,
    read_all,
    receive,
    reported_study,
    send_all,
    study_of,
)


def ids(
    database: Database, limit: int = 100, before_id: int | None = None, **wanted: Any
) -> list[int]:
    with database.read() as session:
        found = history.studies(session, Filter(**wanted), limit=limit, before_id=before_id)
        return [study.id for study in found]


@pytest.fixture
def three(database: Database, clock: Clock) -> list[int]:
    """Three studies, an hour apart, that differ in everything that can be asked for."""
    made = []
    for number, (finding, probability) in enumerate(
        [("normal", 0.1), ("abnormal", 0.4), ("opacity", 0.9)]
    ):
        clock.now = NOON + timedelta(hours=number)
        one = film(
            patient_id=f"P-{number}",
            accession_number=f"ACC-{number}",
            study_date=f"2024030{number + 1}",
            source_ae=f"AE{number}",
        )
        made.append(
            reported_study(
                database, clock, one, made=new_report(finding=finding, probability=probability)
            )
        )
    with database.write() as session:
        session.execute(update(Study).where(Study.id == made[1]).values(state=StudyState.FAILED))
    return made


ALONE: dict[str, tuple[Any, list[int]]] = {
    "since": (NOON + timedelta(hours=1), [2, 1]),
    "until": (NOON + timedelta(hours=1), [0]),
    "study_date_from": ("20240302", [2, 1]),
    "study_date_to": ("20240302", [1, 0]),
    "patient_id": ("P-1", [1]),
    "accession_number": ("ACC-2", [2]),
    "probability_min": (0.4, [2, 1]),
    "probability_max": (0.4, [1, 0]),
    "finding": ("opacity", [2]),
    "state": (StudyState.FAILED, [1]),
    "source_ae": ("AE0", [0]),
}


def test_no_filter_lists_all_newest_first(database: Database, three: list[int]) -> None:
    assert ids(database) == three[::-1]


def test_every_filter_has_a_case() -> None:
    assert set(ALONE) == {field.name for field in fields(Filter)}


@pytest.mark.parametrize("name", ALONE)
def test_each_filter_alone(database: Database, three: list[int], name: str) -> None:
    value, places = ALONE[name]
    assert ids(database, **{name: value}) == [three[place] for place in places]


def test_filters_together_narrow_the_list(database: Database, three: list[int]) -> None:
    assert ids(database, probability_min=0.3, state=StudyState.REPORTED) == [three[2]]
    assert ids(database, study_date_from="20240302", study_date_to="20240302") == [three[1]]
    assert ids(database, finding="opacity", patient_id="P-1") == []
    everything = {name: value for name, (value, places) in ALONE.items() if 1 in places}
    assert ids(database, **everything) == [three[1]]


def test_zero_is_a_limit_and_not_none(database: Database, three: list[int]) -> None:
    assert ids(database, probability_max=0.0) == []
    assert ids(database, patient_id="") == []


def test_a_filter_matches_whole_values_and_no_pattern(database: Database, three: list[int]) -> None:
    for hostile in ("P-", "%", "P-_", "' OR 1=1 --"):
        assert ids(database, patient_id=hostile) == []


def test_a_study_without_a_probability_has_none_to_compare(database: Database) -> None:
    receive(database, film())
    assert ids(database, probability_min=0.0) == []
    assert len(ids(database)) == 1


def test_pages_hold_every_study_once_even_while_more_come(database: Database) -> None:
    receive(database, *(film() for _ in range(7)))
    first = ids(database, limit=3)
    receive(database, film())
    second = ids(database, limit=3, before_id=first[-1])
    third = ids(database, limit=3, before_id=second[-1])
    assert [*first, *second, *third] == [7, 6, 5, 4, 3, 2, 1]
    assert ids(database, limit=3, before_id=third[-1]) == []


def test_one_study_is_found_by_id_uid_and_accession_number(database: Database) -> None:
    made = film(accession_number="ACC/7")
    receive(database, film(), made, film())
    with database.read() as session:
        wanted = study_of(session, made).id
        for key in (str(wanted), made.study_instance_uid, "ACC/7"):
            found = history.find(session, key)
            assert found is not None
            assert found.id == wanted
        for key in ("nothing", "99", "1.2.3", "", "9" * 30, "-1", "1.0", "²"):
            assert history.find(session, key) is None


def test_the_latest_study_of_an_accession_number_is_found(database: Database) -> None:
    made = [film(accession_number="ACC") for _ in range(2)]
    receive(database, *made)
    with database.read() as session:
        found = history.find(session, "ACC")
        assert found is not None
        assert found.study_instance_uid == made[1].study_instance_uid


def test_a_number_that_is_no_id_may_be_an_accession_number(database: Database) -> None:
    receive(database, film(accession_number="4711"))
    with database.read() as session:
        found = history.find(session, "4711")
        assert found is not None
        assert found.accession_number == "4711"


def test_a_found_study_can_be_looked_at_to_its_end(database: Database, clock: Clock) -> None:
    made = film()
    reported_study(database, clock, made)
    with database.read() as session:
        found = history.find(session, made.study_instance_uid)
        assert found is not None
        assert [len(image.readings) for image in found.instances] == [1]
        assert [result.kind for result in found.reports[0].results] == ["sr", "sc"]
        assert len(found.reports[0].results[0].deliveries) == 1


def test_the_timeline_tells_a_studys_whole_story_and_no_others(
    database: Database, clock: Clock
) -> None:
    study_id = reported_study(database, clock, profiles={"pacs": ("sr",)})
    send_all(database)
    receive(database, film())
    with database.read() as session:
        told = [(each.subject.value, each.state) for each in history.timeline(session, study_id)]
    assert told == [
        ("study", "open"),
        ("instance", "received"),
        ("instance", "read"),
        ("delivery", "pending"),
        ("study", "reported"),
        ("delivery", "sent"),
    ]


def test_counts(database: Database, clock: Clock) -> None:
    reported_study(database, clock)
    receive(database, film(), film())
    with database.read() as session:
        assert history.counts(session) == history.Counts(
            studies=3, open_studies=2, live_tasks=4, quarantined_tasks=0, pending_deliveries=2
        )
    read_all(database)
    with database.read() as session:
        assert history.counts(session).live_tasks == 2


def test_deliveries_are_those_of_the_latest_report(database: Database, clock: Clock) -> None:
    study_id = reported_study(database, clock, profiles={"pacs": ("sr",), "ris": ("sr", "sc")})
    send_all(database, "ris")
    other = reported_study(database, clock, profiles={})
    with database.read() as session:
        assert history.deliveries(session, [study_id, other]) == {
            study_id: [
                history.DeliveryCount("pacs", sent=0, pending=1, rejected=0),
                history.DeliveryCount("ris", sent=2, pending=0, rejected=0),
            ]
        }
        assert history.deliveries(session, []) == {}
