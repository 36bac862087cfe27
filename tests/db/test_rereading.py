"""An archive read anew, as the database sees it: what is left, what is recorded, what changed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db import rereading
from db.models import Event, Instance, ShadowReading, StoredReading, Study, Task
from db.rereading import Archive, Change, Refused
from db.session import Database
from db.states import InstanceState, StudyState, TaskKind
from tests.db.makers import (
    NOON,
    OWNER,
    Clock,
    film,
    receive,
    reported_study,
    rows,
    shadow_reading,
    stored_reading,
    uid,
)

NEW = "2.25.9"


def left(database: Database, archive: Archive, limit: int = 100) -> list[rereading.StudyFilms]:
    with database.read() as session:
        return rereading.left(session, archive, after=0, limit=limit)


def waiting(database: Database) -> list[Task]:
    """Return the tasks that are about films or reports."""
    return [each for each in rows(database, Task) if each.kind is not TaskKind.DELIVER]


def keep_shadow(database: Database, *film_ids: int, **values: object) -> int:
    made = {each: shadow_reading(device_uid=NEW, **values) for each in film_ids}
    with database.write() as session:
        archive = Archive(NEW, shadow=True)
        return rereading.record_shadow(session, archive, made, now=database.now(session))


def read_anew(database: Database, study_id: int, *film_ids: int, **values: object) -> bool:
    made = {each: stored_reading(each, NOON, device_uid=NEW, **values) for each in film_ids}
    with database.write() as session:
        now = database.now(session)
        return rereading.record_anew(
            session, study_id, made, owner=OWNER, reason="read anew", now=now
        )


def test_in_shadow_every_film_is_kept_once_however_often_it_is_read(
    database: Database, clock: Clock
) -> None:
    for _ in range(3):
        reported_study(database, clock)
    ids = [each.id for each in rows(database, Instance)]
    archive = Archive(NEW, shadow=True)
    assert [each for study in left(database, archive) for each, _ in study.films] == ids

    assert keep_shadow(database, ids[0], ids[1]) == 2
    assert [each for study in left(database, archive) for each, _ in study.films] == [ids[2]]
    assert keep_shadow(database, *ids) == 1
    assert left(database, archive) == []
    assert [each.instance_id for each in rows(database, ShadowReading)] == ids
    counts = {each.instance_id: each.id for each in rows(database, StoredReading)}
    assert all(
        counts[each.instance_id] == each.reading_id for each in rows(database, ShadowReading)
    )
    assert {each.state for each in rows(database, Study)} == {StudyState.REPORTED}
    assert waiting(database) == []


def test_an_image_that_was_erased_meanwhile_is_left_out(database: Database, clock: Clock) -> None:
    reported_study(database, clock)
    (known,) = (each.id for each in rows(database, Instance))
    assert keep_shadow(database, known, known + 1000) == 1


def test_the_time_is_that_of_the_first_image(database: Database, clock: Clock) -> None:
    first = reported_study(database, clock)
    clock.move(days=1)
    second = reported_study(database, clock)
    later = NOON + timedelta(hours=12)
    since, until = Archive(NEW, True, since=later), Archive(NEW, True, until=later)
    assert [each.study_id for each in left(database, since)] == [second]
    assert [each.study_id for each in left(database, until)] == [first]
    assert [each.study_id for each in left(database, Archive(NEW, True), limit=1)] == [first]


def test_read_anew_a_study_is_open_for_its_revision_and_nothing_is_left_in_the_queue(
    database: Database, clock: Clock
) -> None:
    study = uid()
    study_id = reported_study(
        database, clock, film(study_instance_uid=study), film(study_instance_uid=study)
    )
    ids = [each.id for each in rows(database, Instance)]
    assert read_anew(database, study_id, *ids)
    assert {each.state for each in rows(database, Instance)} == {InstanceState.READ}
    assert [each.device_uid for each in rows(database, StoredReading)] == ["2.25.1"] * 2 + [NEW] * 2
    assert rows(database, Study)[0].state is StudyState.OPEN
    assert waiting(database) == []
    assert "read anew" in {each.reason for each in rows(database, Event)}
    # While it waits for its report it is left alone, and not read twice.
    assert left(database, Archive(NEW, shadow=False)) == []
    assert not read_anew(database, study_id, *ids)
    assert len(rows(database, StoredReading)) == 4


def test_a_study_with_a_further_image_is_left_as_it_is(database: Database, clock: Clock) -> None:
    study = uid()
    study_id = reported_study(
        database, clock, film(study_instance_uid=study), film(study_instance_uid=study)
    )
    one, _ = (each.id for each in rows(database, Instance))
    assert not read_anew(database, study_id, one)
    receive(database, film(study_instance_uid=study))
    assert not read_anew(database, study_id, *(each.id for each in rows(database, Instance)))
    assert {each.device_uid for each in rows(database, StoredReading)} == {"2.25.1"}


def test_what_the_new_model_refuses_is_refused(database: Database, clock: Clock) -> None:
    study_id = reported_study(database, clock)
    (known,) = (each.id for each in rows(database, Instance))
    with database.write() as session:
        assert rereading.record_anew(
            session,
            study_id,
            {known: Refused("no_chest", "No chest is seen.")},
            owner=OWNER,
            reason="read anew",
            now=database.now(session),
        )
    (image,) = rows(database, Instance)
    assert (image.state, image.refusal_code) == (InstanceState.REFUSED, "no_chest")


@pytest.mark.parametrize("shadow", [True, False])
def test_the_comparison_counts_what_changed(database: Database, clock: Clock, shadow: bool) -> None:
    says = [(0.7, "opacity"), (0.1, "normal"), (0.5, "opacity")]  # before: 0.7, opacity
    study_ids = [reported_study(database, clock) for _ in says]
    images = [each.id for each in rows(database, Instance)]
    for study_id, image, (pneumonia, finding) in zip(study_ids, images, says, strict=True):
        if shadow:
            keep_shadow(database, image, pneumonia=pneumonia, finding=finding)
        else:
            assert read_anew(database, study_id, image, pneumonia=pneumonia, finding=finding)
    archive = Archive(NEW, shadow)
    with database.read() as session:
        found = rereading.compare(session, archive)
        most = rereading.differences(session, archive, limit=1)
        none = rereading.compare(session, Archive(NEW, shadow, until=NOON))
    assert found.films == 3
    assert found.changes == (Change("opacity", "normal", 1), Change("opacity", "opacity", 2))
    assert found.mean_difference == pytest.approx((0 - 0.6 - 0.2) / 3)
    assert found.mean_absolute_difference == pytest.approx((0 + 0.6 + 0.2) / 3)
    assert found.largest_difference == pytest.approx(0.6)
    assert [(each.shadow_finding, each.shadow_probability) for each in most] == [("normal", 0.1)]
    assert (none.films, none.changes, none.mean_difference) == (0, (), None)
