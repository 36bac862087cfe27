"""The worklist's filters, orders and pages, on both databases."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from db import deliveries, worklist
from db.models import Study
from db.session import Database
from db.states import Priority, StudyState
from db.worklist import Delivered, Filter, Order
from settings.destinations.sink import SELF_TEST_AE
from tests.db.makers import (
    NOON,
    Clock,
    film,
    new_report,
    new_result,
    parcels,
    receive,
    reported_study,
    rows,
    send_all,
)


def ids(database: Database, order: Order = Order.NEWEST, **wanted: Any) -> list[int]:
    """List the ids of the studies that fit."""
    with database.read() as session:
        found = worklist.page(session, Filter(**wanted), order, limit=100)
    assert not found.more_after
    return [study.id for study in found.studies]


def study(database: Database, clock: Clock, **values: Any) -> int:
    """Make a reported study; `report` holds what its report says, `profiles` who gets it."""
    said = {"finding": "opacity", "probability": 0.7, **values.pop("report", {})}
    profiles = values.pop("profiles", {"pacs": ("sr",)})
    made = new_report(new_result("sr"), **said)
    return reported_study(database, clock, film(**values), profiles=profiles, made=made)


def test_every_filter_finds_what_it_names_and_nothing_else(
    database: Database, clock: Clock
) -> None:
    one = study(
        database,
        clock,
        patient_id="P1",
        patient_name="Curie^Marie",
        accession_number="A1",
        source_ae="ER",
        station="ROOM1",
        study_date="20240301",
        report={"bundle": "one 1", "probability": 0.9, "priority": Priority.URGENT},
    )
    clock.move(hours=1)
    other = study(
        database,
        clock,
        patient_id="P2",
        patient_name="Röntgen^Wilhelm",
        accession_number="A2",
        source_ae="WARD",
        station="ROOM2",
        study_date="20240305",
        report={"bundle": "two 2", "probability": 0.2, "finding": "normal"},
    )
    clock.move(hours=1)
    receive(database, film(source_ae=SELF_TEST_AE))
    expected: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [other, one]),
        ({"patient_id": "P1"}, [one]),
        ({"accession_number": "A2"}, [other]),
        ({"finding": "opacity"}, [one]),
        ({"source_ae": "WARD"}, [other]),
        ({"source_ae": SELF_TEST_AE}, [3]),
        ({"station": "ROOM1"}, [one]),
        ({"bundle": "two 2"}, [other]),
        ({"state": StudyState.REPORTED}, [other, one]),
        ({"state": StudyState.OPEN}, []),
        ({"priority": Priority.URGENT}, [one]),
        ({"probability_min": 0.9}, [one]),
        ({"probability_max": 0.2}, [other]),
        ({"probability_min": 0.3, "probability_max": 0.8}, []),
        ({"since": NOON + timedelta(minutes=30)}, [other]),
        ({"until": NOON + timedelta(minutes=30)}, [one]),
        ({"study_date_from": "20240302"}, [other]),
        ({"study_date_to": "20240301"}, [one]),
        ({"source_ae": "ER", "finding": "normal"}, []),
    ]
    for wanted, found in expected:
        assert ids(database, **wanted) == found, wanted


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("P1", True),
        ("p1", False),
        ("A1", True),
        ("1.2.3.4", True),
        ("1.2.3", False),
        ("cur", True),
        ("CURIE", True),
        (" Curie, Marie ", True),
        ("curie mar", True),
        ("curie^marie", True),
        ("marie", False),
        ("curiex", False),
        ("%", False),
        ("_urie", False),
    ],
)
def test_free_text_is_an_id_or_the_beginning_of_a_name(
    database: Database, typed: str, found: bool
) -> None:
    receive(
        database,
        film(
            patient_id="P1",
            accession_number="A1",
            study_instance_uid="1.2.3.4",
            patient_name="CURIE^MARIE",
        ),
    )
    assert bool(ids(database, text=typed)) is found


@pytest.mark.parametrize("name", ["Ängström^Anders", "ÄNGSTRÖM^ANDERS", "ängström^anders"])
@pytest.mark.parametrize("typed", ["ängs", "Ängs", "ÄNGSTRÖM", "Ängström, A"])
def test_letters_beyond_ascii_are_found_in_either_case(
    database: Database, name: str, typed: str
) -> None:
    receive(database, film(patient_name=name))
    assert ids(database, text=typed) == [1]


def test_the_likeliest_comes_first_and_what_is_not_read_last(
    database: Database, clock: Clock
) -> None:
    chances = [0.3, 0.9, None, 0.9]
    made = [study(database, clock, report={"probability": each}) for each in chances]
    receive(database, film())
    assert ids(database, Order.PROBABILITY) == [made[3], made[1], made[0], 5, made[2]]
    assert ids(database, Order.NEWEST) == [5, *reversed(made)]


@pytest.mark.parametrize("order", list(Order))
def test_pages_go_on_and_back_and_miss_nothing(
    database: Database, clock: Clock, order: Order
) -> None:
    """Also where many studies have the same time or probability."""
    for number in range(23):
        study(database, clock, report={"probability": (0.5, None, 0.7)[number % 3]})
        if number % 4 == 0:
            clock.move(minutes=1)
    receive(database, *(film() for _ in range(4)))
    whole = ids(database, order)
    assert sorted(whole) == list(range(1, 28))
    pages: list[list[int]] = []
    with database.read() as session:
        after = None
        for _ in range(10):
            found = worklist.page(session, Filter(), order, limit=5, after=after)
            pages.append([each.id for each in found.studies])
            assert found.more_before is (after is not None)
            if not found.more_after:
                break
            after = worklist.key_of(found.studies[-1], order)
        assert list(itertools.chain(*pages)) == whole
        for earlier, later in itertools.pairwise(pages):
            before = worklist.key_of(session.get_one(Study, later[0]), order)
            back = worklist.page(session, Filter(), order, limit=5, before=before)
            assert [each.id for each in back.studies] == earlier


def test_the_way_back_ends_with_a_whole_first_page(database: Database) -> None:
    receive(database, *(film() for _ in range(7)))
    with database.read() as session:
        third = session.get_one(Study, 5)
        before = worklist.key_of(third, Order.NEWEST)
        found = worklist.page(session, Filter(), Order.NEWEST, limit=3, before=before)
        assert [each.id for each in found.studies] == [7, 6, 5]
        assert (found.more_before, found.more_after) == (False, True)


def test_all_pages_hold_every_study_once(database: Database) -> None:
    receive(database, *(film() for _ in range(7)))
    for limit in (2, 7, 100):
        pages = worklist.all_pages(database, Filter(), Order.PROBABILITY, limit=limit)
        assert [each.id for page in pages for each in page] == [7, 6, 5, 4, 3, 2, 1]
    assert list(worklist.all_pages(database, Filter(text="none"), Order.NEWEST)) == []


def reject_all(database: Database, lane: str) -> None:
    for parcel in parcels(database, lane):
        with database.write() as session:
            now = database.now(session)
            deliveries.record_rejected(session, parcel, status=0xA700, reason="no", now=now)


def test_deliveries_are_found_by_how_far_they_got_and_where(
    database: Database, clock: Clock
) -> None:
    both = {"pacs": ("sr",), "ris": ("sr",)}
    sent = study(database, clock, profiles=both)
    send_all(database, "pacs")
    send_all(database, "ris")
    rejected = study(database, clock, profiles=both)
    send_all(database, "ris")
    reject_all(database, "pacs")
    waiting = study(database, clock, profiles=both)
    send_all(database, "pacs")
    nowhere = study(database, clock, profiles={})
    with database.write() as session:
        session.get_one(Study, nowhere).state = StudyState.FAILED
    expected: list[tuple[Delivered | None, str | None, list[int]]] = [
        (Delivered.NOT, None, [nowhere, waiting, rejected]),
        (Delivered.NOT, "pacs", [nowhere, rejected]),
        (Delivered.NOT, "ris", [nowhere, waiting]),
        (Delivered.PENDING, None, [waiting]),
        (Delivered.PENDING, "pacs", []),
        (Delivered.REJECTED, None, [rejected]),
        (Delivered.REJECTED, "ris", []),
        (Delivered.SENT, None, [sent]),
        (Delivered.SENT, "pacs", [waiting, sent]),
        (Delivered.COMMITTED, None, []),
        (None, "ris", [waiting, rejected, sent]),
    ]
    for how, destination, found in expected:
        assert ids(database, delivered=how, destination=destination) == found, (how, destination)
    with database.read() as session:
        assert worklist.waiting_destinations(session) == ["pacs", "ris"]


def test_only_the_latest_report_counts(database: Database, clock: Clock) -> None:
    first = film()
    study_id = study(database, clock, study_instance_uid=first.study_instance_uid)
    reject_all(database, "pacs")
    assert ids(database, delivered=Delivered.NOT) == [study_id]
    study(database, clock, study_instance_uid=first.study_instance_uid)
    send_all(database, "pacs")
    (found,) = rows(database, Study)
    assert found.revision == 2
    assert ids(database, delivered=Delivered.NOT) == []
    assert ids(database, delivered=Delivered.SENT) == [study_id]


def test_committed_deliveries_are_found(database: Database, clock: Clock) -> None:
    study_id = study(database, clock)
    send_all(database)
    with database.write() as session:
        session.execute(text("UPDATE delivery SET state = 'committed'"))
    assert ids(database, delivered=Delivered.COMMITTED) == [study_id]
    assert ids(database, delivered=Delivered.SENT) == [study_id]


def test_choices_are_what_there_is(database: Database, clock: Clock) -> None:
    study(database, clock, report={"bundle": "one 1"})
    for source, station in (("ER", "R1"), ("WARD", "R2"), ("ER", "R2"), (SELF_TEST_AE, "")):
        receive(database, film(source_ae=source, station=station))
    with database.read() as session:
        assert worklist.sources(session) == ["ER", "MODALITY", "WARD"]
        assert worklist.stations(session) == ["R1", "R2", "ROOM1"]
        assert worklist.bundles(session) == ["one 1"]


def test_the_undelivered_are_found_by_their_index(database: Database) -> None:
    """An index of part of a table is used only where the planner knows that it holds all."""
    with database.read() as session:
        if database.is_sqlite:
            few = str(
                worklist._lacking(None).compile(
                    session.get_bind(), compile_kwargs={"literal_binds": True}
                )
            )
            plan = session.execute(text(f"EXPLAIN QUERY PLAN SELECT id FROM study WHERE {few}"))
            assert "ix_delivery_undelivered" in str(plan.all())
        else:
            session.execute(text("SET enable_seqscan = off"))
            shown = session.execute(
                text(
                    "EXPLAIN SELECT destination FROM delivery"
                    " WHERE state IN ('pending', 'rejected') AND destination = 'x'"
                )
            )
            assert "ix_delivery_undelivered" in str(shown.all())


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize(
    "wanted",
    [
        {"since": NOON + timedelta(hours=2), "until": NOON + timedelta(hours=5)},
        {"probability_max": 0.5},
        {"probability_min": 0.3, "probability_max": 0.6, "since": NOON + timedelta(hours=1)},
        {"study_date_from": "20240302", "text": "cur"},
        {"text": "curie", "finding": "opacity"},
    ],
)
def test_few_that_are_sorted_and_many_on_the_way_are_the_same_pages(
    database: Database,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    order: Order,
    wanted: dict[str, Any],
) -> None:
    """How a range is looked up goes by how many studies it holds; what is found does not."""
    for number in range(8):
        study(
            database,
            clock,
            patient_name="Curie^Marie" if number % 3 else "Meitner^Lise",
            study_date=f"2024030{1 + number % 4}",
            report={"probability": (number * 3 % 8) / 10},
        )
        clock.move(hours=1)
    receive(database, film(patient_name="Curie^Eve"))
    found = []
    for few in (0, 1000):
        monkeypatch.setattr(worklist, "_FEW", few)
        with database.read() as session:
            first = worklist.page(session, Filter(**wanted), order, limit=2)
            key = worklist.key_of(first.studies[-1], order)
            second = worklist.page(session, Filter(**wanted), order, limit=10, after=key)
            back = worklist.page(session, Filter(**wanted), order, limit=2, before=key)
        found.append([[each.id for each in page.studies] for page in (first, second, back)])
    assert found[0] == found[1]
    assert found[0][0]
    assert sorted(found[0][0] + found[0][1]) == sorted(ids(database, order, **wanted))
