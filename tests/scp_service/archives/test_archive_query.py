"""What a person writes becomes the key that DICOM means by it, or is refused with a reason."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from scp_service.archives.pace import Pace, window
from scp_service.archives.query import Query, QueryError, study_dates

TODAY = date(2026, 3, 2)
ZONE = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("today", "20260302"),
        ("yesterday", "20260301"),
        ("-7d", "20260223-20260302"),
        ("7d", "20260223-20260302"),
        ("20260131", "20260131"),
        ("2026-01-31", "20260131"),
        ("20260101-20260131", "20260101-20260131"),
        ("2026-01-01..2026-01-31", "20260101-20260131"),
        ("20260101-", "20260101-"),
        ("-20260131", "-20260131"),
    ],
)
def test_dates_become_a_dicom_date_or_range(written: str, key: str) -> None:
    assert study_dates(written, TODAY) == key


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("last week", "no date"),
        ("", "no date"),
        ("-", "no date"),
        ("2026", "no date"),
        ("20260230", "no day of the calendar"),
        ("20260101-20261301", "no day of the calendar"),
        ("20260201-20260101", "backwards"),
    ],
)
def test_what_is_no_date_is_refused_with_what_is_wrong(written: str, why: str) -> None:
    with pytest.raises(QueryError, match=why):
        study_dates(written, TODAY)


def test_a_value_that_would_be_two_is_refused() -> None:
    with pytest.raises(QueryError, match="patient ID"):
        Query(("DX",), patient_id="4711\\4712")
    with pytest.raises(QueryError, match="modality"):
        Query(("CR\\DX",))


def test_a_query_for_nothing_but_a_modality_is_the_whole_archive() -> None:
    assert Query(("DX",)).is_open
    assert not Query(("DX",), dates="20260101").is_open
    assert not Query(("DX",), study_description="*thorax*").is_open


def test_descriptions_match_with_wildcards_whatever_their_case() -> None:
    query = Query(("DX",), study_description="*thorax*")
    assert query.describes("Röntgen THORAX p.a.")
    assert not query.describes("Hand")
    assert Query(("DX",)).describes("")


@pytest.mark.parametrize(
    ("now", "hours"),
    [("18:00", 1), ("19:00", 0), ("23:59", 0), ("05:59", 0), ("06:00", 13), ("12:30", 6.5)],
)
def test_a_window_across_midnight_opens_in_the_evening(now: str, hours: float) -> None:
    moment = datetime.fromisoformat(f"2026-03-02T{now}").replace(tzinfo=ZONE)
    assert window("19:00-06:00").wait(moment).total_seconds() == hours * 3600


def test_a_window_within_a_day_opens_the_next_day_once_it_is_over() -> None:
    moment = datetime(2026, 3, 2, 18, tzinfo=ZONE)
    assert window("12:00-13:00").wait(moment).total_seconds() == 18 * 3600


@pytest.mark.parametrize("text", ["19-6", "25:00-06:00", "19:60-06:00", "evening", "", "6:00-6:00"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        window(text)


def test_the_pace_keeps_a_distance_between_studies_and_none_before_the_first() -> None:
    pace = Pace(studies_per_minute=6)
    began = datetime(2026, 3, 2, 12, tzinfo=ZONE)
    assert pace.wait(None, began) == 0
    assert pace.wait(began, began) == 10
    assert pace.wait(began, began.replace(second=4)) == 6
    assert pace.wait(began, began.replace(second=30)) == 0


def test_outside_of_its_window_the_pace_waits_for_it() -> None:
    pace = Pace(60, window("19:00-06:00"))
    now = datetime(2026, 3, 2, 18, 30, tzinfo=ZONE)
    assert pace.wait(now, now) == 1800
