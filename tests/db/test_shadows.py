"""Reading in shadow: who is asked, what is kept, and the comparison's figures by hand."""

from __future__ import annotations

import random
from datetime import datetime

import pytest

from db import bundles, images, queue, recovery, shadows
from db.models import Instance, ShadowReading, StoredReading, Study, Task
from db.session import Database
from db.states import TaskKind
from tests.db.makers import (
    LEASE_SECONDS,
    OWNER,
    SECOND,
    Clock,
    claim,
    claim_one,
    close_quiet,
    film,
    read_all,
    read_in_shadow,
    receive,
    report,
    rows,
    shadow_reading,
    stored_reading,
)


@pytest.fixture(autouse=True)
def in_shadow(database: Database) -> None:
    """A second bundle reads in shadow from the start."""
    choose(database, SECOND)


def choose(database: Database, key: bundles.BundleKey | None) -> None:
    with database.write() as session:
        bundles.shadow(session, key, by="test", reason=None, now=database.now(session))


def read_as(database: Database, *active: float, **values: object) -> None:
    """Receive and read a film for each probability; positive from 0.5 on."""
    receive(database, *(film() for _ in active))
    leases = claim(database, TaskKind.READ, limit=100)
    with database.write() as session:
        now = database.now(session)
        made = [
            (lease, stored_reading(lease.subject_id, now, **said(probability), **values))
            for lease, probability in zip(leases, active, strict=True)
        ]
        images.record_readings(session, made, now=now)


def shadow_as(database: Database, *second: float | None, **values: object) -> None:
    """Read what waits in shadow with these probabilities in order; None refuses the film."""
    leases = claim(database, TaskKind.SHADOW, limit=100)
    for lease, probability in zip(leases, second, strict=True):
        if probability is None:
            row = ShadowReading(bundle=SECOND.label, boxes=[], refusal_code="view", reason="r")
        else:
            row = shadow_reading(**said(probability), **values)
        with database.write() as session:
            shadows.record(session, lease, row, now=database.now(session))


def said(probability: float) -> dict[str, object]:
    return {"pneumonia": probability, "finding": "opacity" if probability >= 0.5 else "normal"}


def compare(
    database: Database, since: datetime | None = None, until: datetime | None = None
) -> list[shadows.Comparison]:
    with database.read() as session:
        return shadows.compare(session, since=since, until=until)


def refuse(database: Database) -> None:
    receive(database, film())
    lease = claim_one(database, TaskKind.READ)
    with database.write() as session:
        images.record_refusal(session, lease, code="view", reason="r", now=database.now(session))


def test_every_film_that_is_read_or_refused_is_read_in_shadow_too(database: Database) -> None:
    read_as(database, 0.9, 0.1)
    refuse(database)
    assert read_in_shadow(database) == 3
    kept, readings = rows(database, Instance), rows(database, StoredReading)
    assert [(each.instance_id, each.reading_id) for each in rows(database, ShadowReading)] == [
        (kept[0].id, readings[0].id),
        (kept[1].id, readings[1].id),
        (kept[2].id, None),
    ]


def test_without_a_bundle_in_shadow_nothing_is_asked(database: Database) -> None:
    choose(database, None)
    read_as(database, 0.9)
    refuse(database)
    assert claim(database, TaskKind.SHADOW) == []


def test_a_film_that_could_not_be_read_in_all_attempts_is_not_tried_in_shadow(
    database: Database,
) -> None:
    receive(database, film())
    lease = claim_one(database, TaskKind.READ)
    with database.write() as session:
        images.quarantine_image(session, lease, reason="r", now=database.now(session))
    assert claim(database, TaskKind.SHADOW) == []


def test_a_report_does_not_wait_for_the_shadow(database: Database, clock: Clock) -> None:
    receive(database, film())
    read_all(database)
    clock.move(seconds=10)
    assert close_quiet(database) == 1
    report(database)
    [task] = [each for each in rows(database, Task) if each.kind == "shadow"]
    assert task.state == "ready"
    before = rows(database, Study)[0].sentence
    read_in_shadow(database, pneumonia=0.01, finding="normal")
    assert rows(database, Study)[0].sentence == before
    assert [each.kind for each in rows(database, Task)] == ["deliver", "deliver"]


def test_while_a_film_waits_for_the_active_bundle_the_shadow_takes_none(
    database: Database,
) -> None:
    def due() -> bool:
        with database.read() as session:
            return shadows.any_due(session, now=database.now(session))

    assert not due()
    read_as(database, 0.9)
    assert due()
    receive(database, film())
    assert not due()
    claim_one(database, TaskKind.READ)
    assert due(), "it is being read"
    read_in_shadow(database)
    assert not due()


def test_who_lost_the_lease_records_nothing(database: Database, clock: Clock) -> None:
    read_as(database, 0.9)
    lost = claim_one(database, TaskKind.SHADOW)
    clock.move(seconds=LEASE_SECONDS + 1)
    with database.write() as session:
        recovery.return_lost(session, owner=OWNER, max_attempts=3, now=clock.now)
    with pytest.raises(queue.LeaseLostError), database.write() as session:
        shadows.record(session, lost, shadow_reading(), now=clock.now)
    assert rows(database, ShadowReading) == []
    assert read_in_shadow(database) == 1


def test_a_shadow_that_dies_over_a_film_leaves_a_row_and_no_task(
    database: Database, clock: Clock
) -> None:
    read_as(database, 0.9)
    for _ in range(3):
        claim_one(database, TaskKind.SHADOW)
        clock.move(seconds=LEASE_SECONDS + 1)
        with database.write() as session:
            recovery.return_lost(session, owner=OWNER, max_attempts=3, now=clock.now)
    assert rows(database, Task) == []
    [row] = rows(database, ShadowReading)
    assert (row.bundle, row.refusal_code, row.pneumonia) == (SECOND.label, "failed", None)
    assert "3 times" in row.reason
    [found] = compare(database)
    assert (found.both, found.shadow_failed, found.shadow_refused) == (0, 1, 0)


def test_the_figures_of_a_comparison_by_hand(database: Database) -> None:
    """Eight films: 3 positive for both, 1 for the active alone, 1 for the shadow alone, 2 for none.

    Differences: -0.1, +0.05, 0, -0.4, +0.3, +0.1, -0.05; the eighth film is refused in shadow.
    Agreement 5/7; kappa with 4/7 positive for both readers: (5/7 - 25/49) / (1 - 25/49) = 5/12.
    """
    read_as(database, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2, 0.1, 0.3)
    shadow_as(database, 0.8, 0.85, 0.7, 0.2, 0.7, 0.3, 0.05, None)
    refuse(database)
    refuse(database)
    shadow_as(database, 0.5, None)

    [found] = compare(database)
    assert (found.active, found.shadow) == ("test 1", "second 2")
    assert found.both == 7
    assert (found.both_positive, found.active_only) == (3, 1)
    assert (found.shadow_only, found.both_negative) == (1, 2)
    assert (found.shadow_refused, found.shadow_failed) == (1, 0)
    assert found.mean_difference == pytest.approx(-0.1 / 7)
    assert found.mean_absolute_difference == pytest.approx(1.0 / 7)
    assert found.largest_difference == pytest.approx(0.4)
    assert found.agreement == pytest.approx(5 / 7)
    assert found.kappa == pytest.approx(5 / 12)

    with database.read() as session:
        assert shadows.refused(session) == [shadows.Refused("second 2", both=1, active_only=1)]
        first, second = shadows.differences(session, limit=2)
    assert (first.active_probability, first.shadow_probability) == (0.6, 0.2)
    assert (first.active_finding, first.shadow_finding) == ("opacity", "normal")
    assert (second.active_probability, second.shadow_probability) == (0.4, 0.7)
    image = rows(database, Instance)[3]
    assert (first.instance_id, first.study_id) == (image.id, image.study_id)


def test_a_comparison_can_be_limited_in_time(database: Database, clock: Clock) -> None:
    start = clock.now
    read_as(database, 0.9)
    shadow_as(database, 0.2)
    middle = clock.move(hours=1)
    read_as(database, 0.9, 0.9)
    shadow_as(database, 0.8, 0.8)
    assert compare(database)[0].both == 3
    assert compare(database)[0].first == start
    assert compare(database)[0].last == middle
    [early] = compare(database, until=middle)
    assert (early.both, early.active_only) == (1, 1)
    [late] = compare(database, since=middle)
    assert (late.both, late.both_positive) == (2, 2)
    with database.read() as session:
        assert len(shadows.differences(session, limit=10, since=middle)) == 2
    assert compare(database, since=clock.move(hours=1)) == []


def test_bundles_are_compared_pair_by_pair(database: Database) -> None:
    read_as(database, 0.9)
    shadow_as(database, 0.9)
    read_as(database, 0.9, bundle="other 1")
    shadow_as(database, 0.2)
    choose(database, bundles.BundleKey("third", "3", "3" * 64))
    read_as(database, 0.9)
    shadow_as(database, 0.9, bundle="third 3")
    assert [(each.active, each.shadow, each.both_positive) for each in compare(database)] == [
        ("other 1", "second 2", 0),
        ("test 1", "second 2", 1),
        ("test 1", "third 3", 1),
    ]


def test_where_nothing_was_compared_no_figure_is_given(database: Database) -> None:
    read_as(database, 0.9)
    shadow_as(database, None)
    [found] = compare(database)
    assert (found.both, found.shadow_refused) == (0, 1)
    assert found.agreement is None
    assert found.kappa is None
    assert found.mean_difference is None
    assert found.largest_difference is None


def test_kappa_is_not_given_where_chance_alone_explains_the_agreement(database: Database) -> None:
    read_as(database, 0.1, 0.2)
    shadow_as(database, 0.3, 0.4)
    [found] = compare(database)
    assert found.agreement == 1
    assert found.kappa is None


def test_any_comparison_adds_up(database: Database) -> None:
    """The four fields of the table are all the films that both read, whatever was read."""
    rng = random.Random(4)
    active = [rng.random() for _ in range(20)]
    second = [rng.random() if rng.random() > 0.2 else None for _ in range(20)]
    read_as(database, *active)
    shadow_as(database, *second)
    [found] = compare(database)
    pairs = [(a, s) for a, s in zip(active, second, strict=True) if s is not None]
    assert found.both == len(pairs)
    assert found.both == (
        found.both_positive + found.active_only + found.shadow_only + found.both_negative
    )
    assert found.shadow_refused == 20 - len(pairs)
    assert found.mean_difference == pytest.approx(sum(s - a for a, s in pairs) / len(pairs))
