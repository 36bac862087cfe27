"""The page of a study: what it shows, to whom, and what its buttons do."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from pydicom import dcmread

from console.context import Context
from console.pages.study_done import boxes_of
from db.models import Delivery, Instance, ShadowReading, StoredReading, Study, Task, Verdict
from db.session import Database
from db.states import DeliveryState, StudyState, TaskKind
from db.verdicts import VerdictError
from tests.console.browsing import Person, audit_records
from tests.db.makers import (
    Clock,
    claim_one,
    events,
    film,
    receive,
    reported_study,
    rows,
    send_all,
)
from tests.inference.films import make_film, make_picture


def encoded(text: str) -> str:
    """Return a text as details stand in the audit trail (PS3.15 A.5.1)."""
    return base64.b64encode(text.encode()).decode()


HOSTILE = "<script>alert(1)</script>^'\"><img src=x onerror=alert(2)>"


@pytest.fixture
def study_id(database: Database, clock: Clock, context: Context) -> int:
    """A reported and delivered study with one film of 240 x 256 pixels that is really there."""
    path = context.files.root / "films" / "film.dcm"
    make_film(path, make_picture(bits=12), BitsStored=12, PatientName=HOSTILE)
    made = film(path="films/film.dcm", patient_name=HOSTILE, patient_id="P7")
    found = reported_study(database, clock, made)
    send_all(database)
    return found


def test_it_shows_what_is_known_and_hostile_names_as_text(
    study_id: int, reader: Person, context: Context
) -> None:
    page = reader.get(f"/studies/{study_id}").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert html.escape("<script>alert(1)</script>") in page.replace("&#39;", "'")
    for told in (
        "P7",
        "Lung opacity suspected",
        "No physician has verified this",
        "test 1",
        "pacs",
        "status 0x0000",
        "revision 1",
    ):
        assert told in page, told
    trail = audit_records(context)
    with context.database.read() as session:
        assert session.get_one(Study, study_id).study_instance_uid in trail
    assert reader.name in trail


def test_a_reader_gets_no_buttons_that_change_what_is_sent(study_id: int, reader: Person) -> None:
    page = reader.get(f"/studies/{study_id}").text
    assert f"/studies/{study_id}/resend" not in page
    assert f"/studies/{study_id}/verdict" in page


def test_what_is_not_there_is_not_found(reader: Person) -> None:
    for path in ("/studies/99", "/films/99/pixels", "/films/99/tags", "/results/99/tags"):
        assert reader.get(path).status_code == 404, path


def test_films_come_with_an_etag_and_only_to_who_is_logged_in(
    study_id: int, reader: Person, context: Context
) -> None:
    first = reader.get("/films/1/pixels")
    assert first.status_code == 200
    assert first.content[:4] == b"HLMF"  # unpacked by the client
    assert first.headers["Cache-Control"] == "private, no-cache"
    shown = {"If-None-Match": first.headers["ETag"]}
    assert reader.get("/films/1/pixels", headers=shown).status_code == 304
    assert reader.get("/films/1/preview.png", headers=shown).status_code == 200
    reader.client.cookies.clear()
    assert reader.get("/films/1/pixels", headers=shown).status_code in (303, 401)


def test_a_film_that_cannot_be_shown_says_why(
    study_id: int, reader: Person, context: Context
) -> None:
    (context.files.root / "films" / "film.dcm").write_bytes(b"broken")
    answer = reader.get("/films/1/preview.png")
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith(".")


def test_a_film_s_view_is_audited_even_without_its_page(
    study_id: int, reader: Person, context: Context
) -> None:
    with context.database.read() as session:
        uid = session.get_one(Study, study_id).study_instance_uid
    accessed = audit_records(context).count(uid)
    reader.get("/films/1/preview.png")
    assert audit_records(context).count(uid) == accessed + 1


def test_raw_tags_are_text(study_id: int, reader: Person) -> None:
    page = reader.get("/films/1/tags").text
    assert "(0010,0010)" in page
    assert "<img src=x" not in page
    assert "<html" in page
    part = reader.get("/films/1/tags", headers={"Sec-Fetch-Mode": "cors"}).text
    assert "<html" not in part
    assert "(0010,0010)" in part


def test_a_verdict_is_kept_shown_and_changes_nothing_that_was_sent(
    study_id: int, reader: Person, context: Context, database: Database
) -> None:
    before = [(each.state, each.sent_at) for each in rows(database, Delivery)]
    box = {"x": 10, "y": 20, "width": 30, "height": 40}
    said = {
        "reading": 1,
        "finding": "opacity",
        "boxes": json.dumps([box]),
        "comment": "<b>left</b> base",
    }
    answer = reader.post(f"/studies/{study_id}/verdict", said)
    assert answer.status_code == 303
    (kept,) = rows(database, Verdict)
    assert (kept.finding, kept.boxes, kept.by) == ("opacity", [box], reader.name)
    page = reader.get(answer.headers["Location"].partition("#")[0]).text
    assert "Your verdict is kept" in page
    assert "&lt;b&gt;left&lt;/b&gt; base" in page
    assert "<b>reader</b> agrees: opacity" in page
    assert [(each.state, each.sent_at) for each in rows(database, Delivery)] == before
    assert rows(database, Task) == []
    assert encoded("Verdict on reading 1: opacity.") in audit_records(context)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"finding": "healthy"}, "one of opacity"),
        ({"finding": "normal", "boxes": "[1]"}, "not understood"),
        ({"finding": "opacity", "boxes": '[{"x": 1}]'}, "not understood"),
        ({"reading": 99, "finding": "normal"}, "no such reading"),
    ],
)
def test_a_verdict_that_does_not_hold_together_is_refused(
    study_id: int, reader: Person, database: Database, said: dict[str, object], why: str
) -> None:
    answer = reader.post(f"/studies/{study_id}/verdict", {"reading": 1, **said})
    assert answer.status_code == 422
    assert why in answer.text
    assert rows(database, Verdict) == []


def test_a_verdict_is_of_a_reading_of_its_study(
    study_id: int, reader: Person, database: Database, clock: Clock
) -> None:
    other = reported_study(database, clock)
    answer = reader.post(f"/studies/{other}/verdict", {"reading": 1, "finding": "normal"})
    assert answer.status_code == 422
    assert rows(database, Verdict) == []


def test_nan_is_no_place_of_a_box() -> None:
    assert boxes_of("  ") is None
    assert boxes_of("[]") == ()
    with pytest.raises(VerdictError):
        boxes_of("[[1, 2, 3, 4]]")


def test_an_operator_sends_again(
    study_id: int, operator: Person, database: Database, context: Context
) -> None:
    answer = operator.post(f"/studies/{study_id}/resend")
    assert answer.headers["Location"] == f"/studies/{study_id}?done=sent&count=2"
    assert {each.state for each in rows(database, Delivery)} == {DeliveryState.PENDING}
    assert events(database, study_id)[-1] == ("delivery", "pending", "sent again by operator")
    assert "2 objects wait" in operator.get(answer.headers["Location"]).text
    assert encoded("Sent again: 2 objects.") in audit_records(context)


def test_an_operator_tries_again_what_was_set_aside(
    operator: Person, database: Database, clock: Clock
) -> None:
    from db import images

    receive(database, film())
    lease = claim_one(database, TaskKind.READ)
    with database.write() as session:
        images.quarantine_image(session, lease, reason="The decoder crashed.", now=clock.now)
    page = operator.get("/studies/1").text
    assert "Set aside:" in page
    assert "The decoder crashed." in page
    operator.post("/studies/1/retry")
    assert [each.kind for each in rows(database, Task) if each.state == "ready"] == [TaskKind.READ]
    assert "Set aside:" not in operator.get("/studies/1").text


def test_an_operator_has_a_study_read_again_for_a_further_revision(
    study_id: int, operator: Person, database: Database
) -> None:
    answer = operator.post(f"/studies/{study_id}/read")
    assert answer.headers["Location"].endswith("done=read&count=1")
    assert rows(database, Study)[0].state is StudyState.OPEN
    assert [each.kind for each in rows(database, Task)] == [TaskKind.READ]
    again = operator.post(f"/studies/{study_id}/read")
    assert "still being worked on" in operator.get(again.headers["Location"]).text


@pytest.mark.slow
def test_another_bundle_reads_for_comparison_and_nothing_is_sent(
    study_id: int, operator: Person, database: Database, context: Context
) -> None:
    (label,) = context.pictures.labels()
    answer = operator.post(f"/studies/{study_id}/read", {"bundle": label})
    assert answer.status_code == 303, answer.text
    (row,) = rows(database, ShadowReading)
    assert (row.bundle, row.asked_by, row.reading_id) == (label, "operator", 1)
    assert rows(database, Task) == []
    assert len(rows(database, StoredReading)) == 1
    assert "asked by operator" in operator.get(f"/studies/{study_id}").text
    wrong = operator.post(f"/studies/{study_id}/read", {"bundle": "other 9"})
    assert wrong.status_code == 409
    assert "other 9" in wrong.text


def test_earlier_films_of_the_patient_can_be_looked_at(
    study_id: int, reader: Person, database: Database, clock: Clock
) -> None:
    before = reported_study(
        database, clock, film(patient_id="P7", study_date="20230102", patient_name="Else^Some")
    )
    reported_study(database, clock, film(patient_id="P8", study_date="20220102"))
    page = reader.get(f"/studies/{study_id}").text
    assert "2023-01-02" in page
    assert "another name: Else, Some" in page
    assert "2022-01-02" not in page
    (instance,) = [each for each in rows(database, Instance) if each.study_id == before]
    assert f"/films/{instance.id}/pixels" in page


def test_an_admin_gets_the_training_set(study_id: int, admin: Person, reader: Person) -> None:
    reader.post(f"/studies/{study_id}/verdict", {"reading": 1, "finding": "opacity"})
    assert "Download as ZIP" not in reader.get("/verdicts").text
    page = admin.get("/verdicts").text
    assert "Download as ZIP" in page
    assert "100" in page
    assert reader.post("/verdicts/export").status_code == 403
    answer = admin.post("/verdicts/export")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    names = archive.namelist()
    labels = archive.read("stage_2_train_labels.csv").decode().splitlines()
    assert labels[1].endswith(",1.0,2.0,3.0,4.0,1")
    tables = "".join(archive.read(name).decode() for name in names if name.endswith(".csv"))
    assert "P7" not in tables
    (film_name,) = [name for name in names if name.endswith(".dcm")]
    given = dcmread(io.BytesIO(archive.read(film_name)))
    assert given.PatientID == Path(film_name).stem


def test_a_button_that_is_pressed_twice_does_it_once(
    study_id: int, operator: Person, database: Database
) -> None:
    send_all(database)
    page = operator.get(f"/studies/{study_id}").text
    (key,) = set(re.findall(r'name="key" value="([^"]+)"', page))
    assert f'value="{key}"' not in operator.get(f"/studies/{study_id}").text
    first, second = (
        operator.post(f"/studies/{study_id}/resend", {"key": key}).headers["Location"]
        for _ in range(2)
    )
    assert first == second
    assert "count=2" in first
    again = [each for each in events(database, study_id) if "sent again by" in (each[2] or "")]
    assert len(again) == 2
    said = {"reading": 1, "finding": "normal", "key": key}
    for _ in range(2):
        assert operator.post(f"/studies/{study_id}/verdict", said).status_code == 303
    assert len(rows(database, Verdict)) == 1
    other = {**said, "finding": "abnormal"}  # after a step back in the browser
    assert operator.post(f"/studies/{study_id}/verdict", other).status_code == 303
    assert [each.finding for each in rows(database, Verdict)] == ["normal", "abnormal"]
