"""A study, its events, deliveries and files, as the API tells of them."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from console.api.cursors import encode
from console.context import Context
from console.shapes.listing import StudiesAsked
from db import worklist
from db.models import Instance, Result, Study
from db.session import Database
from db.states import Priority
from tests.console.api.calling import Program, refused
from tests.console.browsing import audit_records
from tests.db.makers import Clock, film, new_report, reported_study, rows, send_all


@pytest.fixture
def study_id(database: Database, clock: Clock) -> int:
    """A study of one film, reported, and sent to a PACS."""
    made = reported_study(
        database, clock, film(patient_name="Curie^Marie", patient_id="P1", source_ae="CR1")
    )
    send_all(database)
    return made


def test_a_study_is_told_of_with_everything(reading: Program, study_id: int) -> None:
    told = reading.get(f"/studies/{study_id}").json()
    assert told["id"] == study_id
    assert told["patient_name"] == "Curie^Marie"
    assert told["source"] == "CR1"
    assert told["state"] == "reported"
    assert told["probability"] == 0.7
    assert told["received_at"] == "2024-03-01T12:00:00Z"
    assert told["deliveries"] == {"pacs": {"sent": 2, "pending": 0, "rejected": 0}}
    (film_told,) = told["films"]
    assert film_told["state"] == "read"
    (said,) = film_told["readings"]
    assert 0 <= said["pneumonia"] <= 1
    (report,) = told["reports"]
    assert [each["kind"] for each in report["results"]] == ["sr", "sc"]
    assert [each["deliveries"][0]["state"] for each in report["results"]] == ["sent", "sent"]


def test_what_has_not_changed_is_not_sent_again(
    reading: Program, everything: Program, study_id: int
) -> None:
    path = f"/studies/{study_id}"
    tag = reading.get(path).headers["ETag"]
    same = reading.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert same.status_code == 304
    assert same.content == b""
    assert same.headers["ETag"] == tag
    everything.post(f"{path}/resend", {"everything": True})
    other = reading.get(path, headers={"If-None-Match": tag})
    assert other.status_code == 200
    assert other.headers["ETag"] != tag


def test_events_go_on_page_by_page_in_order(reading: Program, study_id: int) -> None:
    whole = reading.get(f"/studies/{study_id}/events").json()
    assert whole["next"] is None
    assert [each["state"] for each in whole["items"]][:2] == ["open", "received"]
    found, where = [], f"/studies/{study_id}/events?limit=3"
    while True:
        answer = reading.get(where)
        found += answer.json()["items"]
        if (cursor := answer.json()["next"]) is None:
            break
        assert f"cursor={cursor}" in answer.headers["Link"]
        where = answer.headers["Link"].partition("<")[2].partition(">")[0].removeprefix("/api/v1")
    assert found == whole["items"]
    assert len(found) > 6


def test_deliveries_come_with_their_receipts(reading: Program, study_id: int) -> None:
    found = reading.get(f"/studies/{study_id}/deliveries").json()["items"]
    assert [(each["kind"], each["destination"], each["state"]) for each in found] == [
        ("sr", "pacs", "sent"),
        ("sc", "pacs", "sent"),
    ]
    assert {each["status"] for each in found} == {0}
    assert {each["revision"] for each in found} == {1}


@pytest.mark.parametrize(
    "cursor", ["x", "e30", "W10", "eyJhZnRlciI6WzFdLCJvZiI6IngifQ", "é", "[" * 900]
)
def test_a_cursor_that_was_not_given_out_is_refused(
    reading: Program, study_id: int, cursor: str
) -> None:
    answer = reading.get(f"/studies/{study_id}/events", params={"cursor": cursor})
    assert refused(answer, 422)["detail"].startswith("cursor: ")


def test_a_cursor_goes_on_in_its_own_list_alone(
    reading: Program, database: Database, clock: Clock, study_id: int
) -> None:
    other = reported_study(database, clock)
    cursor = reading.get(f"/studies/{study_id}/events?limit=1").json()["next"]
    told = refused(reading.get(f"/studies/{other}/events?cursor={cursor}"), 422)
    assert "another filter" in told["detail"]


@pytest.mark.parametrize("path", ["", "/events", "/deliveries"])
def test_a_study_that_is_not_there_is_a_problem(reading: Program, path: str) -> None:
    assert refused(reading.get(f"/studies/99{path}"), 404)["detail"] == "There is no study 99."
    for impossible in ("0", "x", str(2**63)):
        told = refused(reading.get(f"/studies/{impossible}{path}"), 422)
        assert told["errors"][0]["where"] == "path"
        assert told["errors"][0]["name"] == "study_id"


def test_whoever_reads_a_study_is_audited_with_the_token(
    reading: Program, context: Context, study_id: int
) -> None:
    reading.get(f"/studies/{study_id}")
    told = audit_records(context)
    assert told.count('displayName="DICOM Instances Accessed"') == 1
    assert f'UserID="{reading.name}"' in told
    assert "token 1" in told


def test_a_film_and_a_result_come_as_the_files_that_are_kept(
    reading: Program, context: Context, study_id: int, fast_folder: Path
) -> None:
    for table, noun in ((Instance, "films"), (Result, "results")):
        row = rows(context.database, table)[0]
        path = fast_folder / row.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0" * 128 + b"DICM and so on")
        answer = reading.get(f"/{noun}/{row.id}/file")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/dicom"
        assert answer.content == path.read_bytes()
        assert "Curie" not in answer.headers["Content-Disposition"]
        path.unlink()
        assert "lost" in refused(reading.get(f"/{noun}/{row.id}/file"), 404)["detail"]
        refused(reading.get(f"/{noun}/99/file"), 404)
    told = audit_records(context)
    assert told.count('displayName="Export"') == 2


def test_a_hostile_name_stays_what_it_is(
    reading: Program, database: Database, clock: Clock
) -> None:
    name = '<script>alert("x")</script>^\u202eevil\x07'
    made = reported_study(database, clock, film(patient_name=name))
    assert reading.get(f"/studies/{made}").json()["patient_name"] == name
    assert len(rows(database, Study)) == 1


def ids(answer: Response) -> list[int]:
    """Return the studies of a page."""
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


def test_a_list_goes_on_by_its_cursor_in_both_orders(
    reading: Program, database: Database, clock: Clock
) -> None:
    shares = [0.2, 0.9, 0.5, 0.5, None]
    made = [reported_study(database, clock, made=new_report(probability=share)) for share in shares]
    by = {"newest": made[::-1], "probability": [made[each] for each in (1, 3, 2, 0, 4)]}
    for order, wanted in by.items():
        found, where = [], f"/studies?order={order}&limit=2"
        while where:
            answer = reading.get(where)
            found += ids(answer)
            link = answer.headers.get("Link", "")
            where = link.partition("<")[2].partition(">")[0].removeprefix("/api/v1")
        assert found == wanted, order


@pytest.mark.parametrize(
    "query",
    [
        "patient_id=P1",
        "accession_number=A1",
        "text=curie",
        "source=CR1",
        "station=ROOM9",
        "probability_min=0.8",
        "finding=abnormal",
        "priority=urgent",
        "study_date_from=20240301&study_date_to=20240301",
        "delivered=sent&destination=pacs",
        "since=2024-03-01T12:00:05Z",
        "bundle=other%202",
    ],
)
def test_a_list_has_every_filter_of_the_worklist(
    reading: Program, database: Database, clock: Clock, query: str
) -> None:
    profiles = {"pacs": ("sr",)}
    plain = new_report(probability=0.1, finding="normal", sentence="Normal.")
    reported_study(
        database,
        clock,
        film(study_date="20200101"),
        made=plain,
        profiles={"other": ("sr",)},
    )
    wanted = reported_study(
        database,
        clock,
        film(
            patient_id="P1",
            accession_number="A1",
            patient_name="Curie^Marie",
            source_ae="CR1",
            station="ROOM9",
        ),
        made=new_report(
            probability=0.9, finding="abnormal", bundle="other 2", priority=Priority.URGENT
        ),
        profiles=profiles,
    )
    send_all(database)
    assert ids(reading.get(f"/studies?{query}")) == [wanted]
    assert len(ids(reading.get("/studies"))) == 2


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("patientid=1", "patientid"),
        ("probability_min=2", "probability_min"),
        ("probability_max=nan", "probability_max"),
        ("since=2024-03-01T12:00:00", "since"),
        ("since=0.5", "since"),
        ("until=0001-01-01T00:00:00%2B14:00", "until"),
        ("until=9999-12-31T23:59:59-14:00", "until"),
        ("text=%00", "text"),
        ("limit=501", "limit"),
        ("order=oldest", "order"),
        ("study_date_to=2024-03-01", "study_date_to"),
        ("state=gone", "state"),
    ],
)
def test_a_filter_that_is_not_understood_is_refused_and_not_ignored(
    reading: Program, query: str, name: str
) -> None:
    told = refused(reading.get(f"/studies?{query}"), 422)
    assert [each["name"] for each in told["errors"]] == [name]


def test_no_filter_of_the_worklist_is_missing() -> None:
    asked = set(StudiesAsked.model_fields) - {"order"}
    assert asked == {each.name.removesuffix("_ae") for each in fields(worklist.Filter)}
    options = StudiesAsked.model_json_schema()["properties"]
    assert options["delivered"]["anyOf"][0]["enum"] == list(worklist.Delivered)
    assert options["order"]["enum"] == sorted(worklist.Order)


@pytest.mark.parametrize("key", [["x", 1], [1, 1], ["2024-03-01T12:00:00", 1], ["1" * 400, 1]])
def test_a_cursor_of_a_list_that_was_made_up_is_refused(reading: Program, key: list[Any]) -> None:
    for order in ("newest", "probability"):
        of = {} if order == "newest" else {"order": order}
        for after in (key, [10**400, 1], [1e400, 2**63]):
            answer = reading.get(f"/studies?order={order}&cursor={encode(after, of)}")
            assert answer.status_code in (200, 422)
            if answer.status_code == 422:
                assert "cursor: " in refused(answer, 422)["detail"]


def test_a_list_is_audited_with_what_was_asked_for(
    reading: Program, context: Context, study_id: int
) -> None:
    reading.get("/studies?patient_id=P1")
    told = audit_records(context)
    assert told.count('displayName="Query"') == 1
    asked = re.search("<ParticipantObjectQuery>(.+?)</ParticipantObjectQuery>", told)
    assert asked
    assert json.loads(b64decode(asked[1])) == {"patient_id": "P1", "studies": [study_id]}


def test_studies_that_come_in_meanwhile_do_not_shift_the_pages(
    reading: Program, database: Database, clock: Clock
) -> None:
    made = [reported_study(database, clock) for _ in range(4)]
    first = reading.get("/studies?limit=2")
    reported_study(database, clock)
    second = reading.get(f"/studies?limit=2&cursor={first.json()['next']}")
    assert ids(first) + ids(second) == made[::-1]
