"""Verdicts: only kept, never changed; figures worked out by hand; labels as the last one says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db import shadows, verdicts
from db.models import Delivery, Instance, Report, ShadowReading, StoredReading, Study, Verdict
from db.retention import forget
from db.session import Database
from db.states import TaskKind
from db.verdicts import Agreement, NewVerdict, VerdictError
from tests.db.makers import (
    NOON,
    Clock,
    claim,
    film,
    instance_of,
    read,
    receive,
    reported_study,
    rows,
    shadow_reading,
)

BOX = (10.0, 20.0, 30.0, 40.0)


def a_reading(database: Database, **values: object) -> int:
    """Receive and read one film; return the id of its reading."""
    receive(database, film(station=values.pop("station", "ROOM1")))
    (lease,) = claim(database, TaskKind.READ)
    read(database, lease, **values)
    return int(rows(database, StoredReading)[-1].id)


def say(
    database: Database,
    reading_id: int,
    finding: str,
    boxes: tuple[tuple[float, float, float, float], ...] | None = None,
    *,
    by: str = "ann",
    comment: str = "",
    study_id: int | None = None,
) -> int:
    with database.write() as session:
        new = NewVerdict(reading_id, finding, boxes, comment, by)
        if study_id is None:
            study_id = session.get_one(StoredReading, reading_id).instance.study_id
        return verdicts.add(session, new, study_id=study_id, now=database.now(session)).id


def test_a_later_verdict_stands_and_the_earlier_one_stays(database: Database, clock: Clock) -> None:
    study_id = reported_study(database, clock)
    (reading,) = rows(database, StoredReading)
    before = [_columns(row) for table in (Study, Report, Delivery) for row in rows(database, table)]
    say(database, reading.id, "opacity", comment="  left base ")
    clock.move(minutes=5)
    say(database, reading.id, "normal", ())
    with database.read() as session:
        first, second = verdicts.of_study(session, study_id)
    assert (first.finding, first.boxes, first.comment, first.by) == (
        "opacity",
        None,
        "left base",
        "ann",
    )
    assert (second.finding, second.boxes, second.at - first.at) == (
        "normal",
        [],
        timedelta(minutes=5),
    )
    after = [_columns(row) for table in (Study, Report, Delivery) for row in rows(database, table)]
    assert after == before


def _columns(row: object) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if not name.startswith("_")}


@pytest.mark.parametrize(
    ("finding", "boxes", "comment", "said"),
    [
        ("healthy", None, "", "one of opacity, abnormal, normal"),
        ("normal", (BOX,), "", "Boxes mark opacities"),
        ("opacity", ((80.0, 0.0, 10.0, 10.0),), "", "lies on the film"),
        ("opacity", ((0.0, 0.0, 0.5, 10.0),), "", "at least one pixel"),
        ("opacity", ((float("nan"), 0.0, 5.0, 10.0),), "", "are numbers"),
        ("opacity", (BOX,) * 51, "", "at most 50"),
        ("opacity", None, "x" * 4001, "at most 4000"),
    ],
)
def test_what_does_not_hold_together_is_refused(
    database: Database,
    finding: str,
    boxes: tuple[tuple[float, float, float, float], ...] | None,
    comment: str,
    said: str,
) -> None:
    reading_id = a_reading(database)
    with pytest.raises(VerdictError, match=said):
        say(database, reading_id, finding, boxes, comment=comment)
    with pytest.raises(VerdictError, match="no such reading"):
        say(database, reading_id + 1, "normal", study_id=1)
    with pytest.raises(VerdictError, match="no such reading"):
        say(database, reading_id, "normal", study_id=2)
    assert rows(database, Verdict) == []


def test_boxes_are_cut_to_the_film(database: Database) -> None:
    reading_id = a_reading(database)  # 80 columns, 100 rows
    say(database, reading_id, "opacity", ((-5.0, 90.0, 200.0, 50.0),))
    (kept,) = rows(database, Verdict)
    assert kept.boxes == [{"x": 0.0, "y": 90.0, "width": 80.0, "height": 10.0}]


def test_agreement_by_hand(database: Database, clock: Clock) -> None:
    # Positive readings: 3, of which readers see an opacity in 2. Negative ones: 5, of which 1.
    for finding, seen in [
        ("opacity", "opacity"),
        ("opacity", "opacity"),
        ("opacity", "abnormal"),
        ("normal", "normal"),
        ("normal", "normal"),
        ("normal", "abnormal"),
        ("abnormal", "opacity"),
        ("normal", "normal"),
    ]:
        reading_id = a_reading(database, finding=finding)
        say(database, reading_id, seen, (BOX,) if seen == "opacity" else None)
    other = a_reading(database, finding="normal", bundle="other 1", station="ROOM2")
    say(database, other, "opacity")
    clock.move(hours=1)
    say(database, other, "normal")  # thought better of it
    say(database, other, "normal", by="bob")
    with database.read() as session:
        by_bundle = verdicts.agreement(session)
        by_station = verdicts.agreement(session, by="station")
        first_hour = verdicts.agreement(session, until=NOON + timedelta(minutes=30))
        later = verdicts.agreement(session, since=NOON + timedelta(minutes=30), by="source")
    assert by_bundle == [
        Agreement("other 1", 2, 0, 0, 0, 2, 2, 0),
        Agreement("test 1", 8, 2, 1, 1, 4, 5, 3),
    ]
    assert [each.group for each in by_station] == ["ROOM1", "ROOM2"]
    assert first_hour[0] == Agreement("other 1", 1, 0, 0, 1, 0, 0, 0)
    assert later == [Agreement("MODALITY", 2, 0, 0, 0, 2, 2, 0)]
    assert by_bundle[1].agreement == 6 / 8
    # p_o = 6/8; p_e = 3/8 * 3/8 + 5/8 * 5/8 = 34/64; kappa = (48 - 34) / (64 - 34)
    assert by_bundle[1].kappa == pytest.approx(14 / 30)
    assert by_bundle[0].kappa is None


def test_a_film_is_labelled_as_the_last_verdict_says(database: Database, clock: Clock) -> None:
    agreed = a_reading(database)
    drawn, normal = a_reading(database), a_reading(database)
    a_reading(database)  # of which nobody has said anything
    say(database, agreed, "opacity")
    say(database, drawn, "normal")
    say(database, drawn, "opacity", (BOX,), by="bob")
    say(database, normal, "normal")
    with database.read() as session:
        found = list(verdicts.labelled(session))
    assert [(each.finding, each.boxes) for each in found] == [
        ("opacity", ((1.0, 2.0, 3.0, 4.0),)),
        ("opacity", (BOX,)),
        ("normal", ()),
    ]
    with database.read() as session:
        assert not list(verdicts.labelled(session, since=clock.now + timedelta(seconds=1)))


def test_verdicts_go_with_their_study(database: Database, clock: Clock) -> None:
    study_id = reported_study(database, clock)
    (reading,) = rows(database, StoredReading)
    say(database, reading.id, "normal")
    with database.write() as session:
        forget(session, study_id, reason="too old", now=clock.now)
    assert rows(database, Verdict) == []


def test_what_was_asked_by_hand_is_no_comparison(database: Database, clock: Clock) -> None:
    made = film()
    receive(database, made)
    (lease,) = claim(database, TaskKind.READ)
    read(database, lease)
    with database.write() as session:
        instance = instance_of(session, made)
        shadows.record_asked(session, instance.id, shadow_reading(), by="ann", now=clock.now)
    (row,) = rows(database, ShadowReading)
    assert (row.asked_by, row.reading_id) == ("ann", rows(database, StoredReading)[0].id)
    with database.read() as session:
        assert shadows.compare(session) == []
        assert shadows.differences(session, limit=5) == []
        (image,) = [session.get_one(Instance, row.instance_id)]
        assert [each.bundle for each in image.shadow_readings] == [row.bundle]
