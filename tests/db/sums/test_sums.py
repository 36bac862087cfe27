"""Sums are exact: with the rows not summed up yet they say what all rows say, whatever happens."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from db import deliveries, erasure, retention
from db.files import FileStore
from db.images import record_refusal
from db.models import FilmSum, ReadingSum, StaleHour, StudySum, SummedUntil
from db.session import Database
from db.states import TaskKind
from db.sums import keep
from db.sums.ask import Summed, rows, summed
from db.sums.flow import flow
from db.sums.periods import Length, Period
from db.sums.tables import ALL, DELIVERIES, FILMS, READINGS, STUDIES, SumTable
from settings.destinations.sink import SELF_TEST_AE
from tests.db import makers
from tests.db.makers import (
    Clock,
    claim_one,
    close_quiet,
    film,
    new_report,
    new_result,
    parcels,
    read,
    receive,
    report,
    reported_study,
    send_all,
)

MONDAY = datetime.fromisoformat("2024-03-04T00:00:00+00:00")
UNSUMMED = Summed(None, frozenset())


@pytest.fixture(autouse=True)
def monday(clock: Clock) -> None:
    clock.now = MONDAY


def study(database: Database, clock: Clock, *, probability: float, **values: Any) -> Any:
    """Take a study of one film the whole way in 20 s, and return the film."""
    made = film(**values)
    receive(database, made)
    clock.move(seconds=4)
    finding = "opacity" if probability >= 0.5 else "normal"
    lease = claim_one(database, TaskKind.READ)
    grey = {"grey_mean": 100.0 + 10 * probability, "grey_spread": 50.0}
    read(database, lease, pneumonia=probability, finding=finding, **grey)
    clock.move(seconds=10)
    close_quiet(database)
    said = new_report(new_result("sr"), finding=finding, probability=probability)
    report(database, {"pacs": ("sr",)}, said)
    clock.move(seconds=6)
    send_all(database)
    return made


def sum_up(database: Database) -> None:
    while keep.advance(database):
        pass


def everything(database: Database, known: Summed | None = None) -> dict[str, Any]:
    """All that is told of four weeks, by table; `UNSUMMED`: from the rows alone."""
    period = Period(MONDAY - timedelta(days=7), MONDAY + timedelta(days=21))
    found = {}
    with database.read() as session:
        for table in ALL:
            total = table.total(rows(session, table, period, known or summed(session)))
            found[table.model.__tablename__] = sorted(
                (_rounded(table, row) for row in total), key=repr
            )
    return found


def _rounded(table: SumTable, row: dict[str, Any]) -> dict[str, Any]:
    """Floats are added in another order, and bins packed in one: only what they say is compared."""
    unpacked = {name: bins.unpack([row[name]]).tolist() for name, bins in table.histograms.items()}
    return {
        **{name: round(value, 6) if isinstance(value, float) else value
           for name, value in row.items()},
        **unpacked,
    }  # fmt: skip


def test_a_study_is_counted_with_its_times(database: Database, clock: Clock) -> None:
    study(database, clock, probability=0.7, source_ae="ER", station="ROOM1", content=b"12345")
    study(database, clock, probability=0.2, source_ae="ER", station="ROOM1")
    clock.move(hours=3)
    sum_up(database)
    period = Period(MONDAY, MONDAY + timedelta(hours=4))
    with database.read() as session:
        known = summed(session)
        assert known.until == MONDAY + timedelta(hours=2)  # of the third the ten minutes are not up
        (films,) = rows(session, FILMS, period, known)
        (readings,) = rows(session, READINGS, period, known)
        (studies,) = rows(session, STUDIES, period, known)
        told = flow(session, period, known, length=Length.HOUR, now=clock.now)
    assert (films["source"], films["station"], films["received"]) == ("ER", "ROOM1", 2)
    assert films["bytes"] == 5 + len("film 1000000")
    assert (readings["readings"], readings["positive"], readings["measured"]) == (2, 1, 2)
    assert readings["grey_mean"] == pytest.approx(107 + 102)
    assert readings["grey_mean_squares"] == pytest.approx(107**2 + 102**2)
    assert STUDIES.histograms["positive"].unpack([studies["positive"]])[700] == 1
    assert STUDIES.histograms["negative"].unpack([studies["negative"]])[200] == 1
    assert (told.received, told.films_per_hour) == (2, pytest.approx(2 / (3 + 40 / 3600)))
    assert [step.received for step in told.steps] == [2, 0, 0, 0]
    assert told.wait.median == pytest.approx(4, rel=0.01)
    assert told.latency.p99 == pytest.approx(20, rel=0.01)
    (to,) = told.destinations
    assert (to.destination, to.sent, to.rejected, to.latency.count) == ("pacs", 2, 0, 2)


def test_sums_and_rows_agree_after_every_hour_of_two_weeks(
    database: Database, clock: Clock
) -> None:
    """Among them refusals, rejections, resends, late images and gaps of a day."""
    chance = Random(1)
    earlier: list[Any] = []
    for _ in range(40):
        source = chance.choice(["ER", "WARDS"])
        station = chance.choice(["A", "B"])
        kind = chance.randrange(10)
        if kind == 0 and earlier:
            uid = chance.choice(earlier).study_instance_uid  # a late image
            study(database, clock, probability=chance.random(), study_instance_uid=uid)
        elif kind == 1:
            refuse_one(database, clock, source)
        elif kind == 2 and earlier:
            with database.write() as session:
                found = makers.study_of(session, chance.choice(earlier))
                deliveries.resend(session, found.id, everything=True, now=clock.now)
            clock.move(minutes=5)
            send_all(database)
        else:
            values = {"source_ae": source, "station": station}
            earlier.append(study(database, clock, probability=chance.random(), **values))
        clock.move(minutes=chance.randrange(700))
        if chance.random() < 0.5:
            keep.advance(database)
            assert everything(database) == everything(database, UNSUMMED)
    clock.move(days=1)
    sum_up(database)
    assert everything(database) == everything(database, UNSUMMED)
    found = everything(database)
    assert sum(row["received"] for row in found["film_sum"]) > 30
    assert sum(row["refused"] for row in found["film_sum"]) > 0
    assert sum(row["sent"] for row in found["delivery_sum"]) > 30


def refuse_one(database: Database, clock: Clock, source: str) -> None:
    """Have a film refused, and one rejected by its destination."""
    receive(database, film(source_ae=source))
    lease = claim_one(database, TaskKind.READ)
    clock.move(seconds=2)
    with database.write() as session:
        record_refusal(session, lease, code="view", reason="lateral", now=clock.now)
    clock.move(seconds=10)
    close_quiet(database)
    report(
        database, {"pacs": ("sr",)}, new_report(new_result(), finding="failed", probability=None)
    )
    (parcel,) = parcels(database)
    with database.write() as session:
        deliveries.record_rejected(session, parcel, status=0xA900, reason="no", now=clock.now)


def test_a_late_image_changes_what_its_hour_says(database: Database, clock: Clock) -> None:
    first = study(database, clock, probability=0.2)
    clock.move(days=9)
    sum_up(database)
    assert makers.rows(database, StaleHour) == []
    study(database, clock, probability=0.9, study_instance_uid=first.study_instance_uid)
    (stale,) = makers.rows(database, StaleHour)
    assert stale.hour == MONDAY
    before = everything(database)
    assert before == everything(database, UNSUMMED)
    assert sum(before["study_sum"][0]["positive"]) == 1
    sum_up(database)
    assert makers.rows(database, StaleHour) == []
    assert everything(database) == before
    weeks = [each for each in makers.rows(database, StudySum) if each.length == "week"]
    assert [each.negative for each in weeks] == [""]


def test_an_object_that_is_sent_again_is_counted_once(database: Database, clock: Clock) -> None:
    made = study(database, clock, probability=0.2)
    clock.move(days=1)
    with database.write() as session:
        found = makers.study_of(session, made)
        deliveries.resend(session, found.id, everything=True, now=clock.now)
    send_all(database)
    clock.move(hours=2)
    sum_up(database)
    with database.read() as session:
        period = Period(MONDAY, MONDAY + timedelta(days=2))
        (row,) = rows(session, DELIVERIES, period, summed(session))
    assert (row["sent"], row["start"]) == (1, MONDAY)


def test_the_self_test_is_of_no_hour(database: Database, clock: Clock) -> None:
    study(database, clock, probability=0.9, source_ae=SELF_TEST_AE)
    assert not any(everything(database, UNSUMMED).values())


def test_who_is_erased_is_in_no_sum_any_more(
    database: Database, clock: Clock, tmp_path: Any
) -> None:
    store = FileStore(tmp_path / "data")
    store.prepare()
    study(database, clock, probability=0.9, patient_id="MINE")
    study(database, clock, probability=0.3)
    clock.move(days=9)
    sum_up(database)
    with database.read() as session:
        (number,) = erasure.held(session, "MINE").studies
    erasure.erase(database, store, number, now=clock.now)
    now = everything(database)
    assert now == everything(database, UNSUMMED)
    assert [row["received"] for row in now["film_sum"]] == [1]
    sum_up(database)
    assert everything(database) == now
    assert {each.received for each in makers.rows(database, FilmSum)} == {1}
    assert {each.readings for each in makers.rows(database, ReadingSum)} == {1}


def test_what_grew_too_old_stays_in_the_sums(database: Database, clock: Clock) -> None:
    study(database, clock, probability=0.9)
    clock.move(days=9)
    sum_up(database)
    before = everything(database)
    with database.write() as session:
        retention.forget(session, 1, reason="old", now=clock.now)
    assert everything(database) == before
    keep.rebuild(database)
    assert everything(database) == before
    study(database, clock, probability=0.1)
    clock.move(hours=2)
    keep.rebuild(database)
    assert [row["received"] for row in everything(database)["film_sum"]] == [2]


def test_rebuilding_makes_the_same(database: Database, clock: Clock) -> None:
    for _ in range(3):
        study(database, clock, probability=0.6)
        clock.move(days=5)
    sum_up(database)
    before = everything(database)
    assert before["film_sum"][0]["received"] == 3
    with database.write() as session:
        session.get_one(SummedUntil, 1).until += timedelta(days=1)  # damage
        for row in session.query(FilmSum):
            row.received = 7
    assert everything(database) != before
    keep.rebuild(database)
    assert everything(database) == before


def test_two_machines_that_sum_up_at_once_count_nothing_twice(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(database, clock, probability=0.6)
    clock.move(days=3)
    add_up = keep._add_up
    made: list[Any] = []

    def overtaken(session: Any, *, now: datetime) -> Any:
        made.append(add_up(session, now=now))
        if len(made) == 1:
            session.rollback()  # SQLite lets nobody write beside a reader
            keep.advance(database)
        return made[-1] if len(made) == 2 else made[0]

    monkeypatch.setattr(keep, "_add_up", overtaken)
    keep.advance(database)
    assert len(made) == 2
    assert everything(database) == everything(database, UNSUMMED)
    assert everything(database)["film_sum"][0]["received"] == 1


def test_nothing_is_summed_up_where_nothing_came(database: Database) -> None:
    assert keep.advance(database) is False
    assert makers.rows(database, SummedUntil) == []


def test_a_long_history_is_summed_up_week_by_week(database: Database, clock: Clock) -> None:
    reported_study(database, clock)
    clock.move(days=17)
    assert keep.advance(database) is True
    with database.read() as session:
        assert summed(session).until == MONDAY + timedelta(days=7)
    sum_up(database)
    with database.read() as session:
        assert summed(session).until == MONDAY + timedelta(days=16, hours=23)
