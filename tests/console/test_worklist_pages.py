"""The worklist's page: what it shows, what it can be asked for, and what leaves it."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
from typing import Any

import pytest

from console.context import Context
from db.session import Database
from settings.destinations.sink import SELF_TEST_AE
from tests.console.browsing import Person, audit_records, log_in
from tests.db.makers import (
    Clock,
    film,
    new_report,
    new_result,
    receive,
    reported_study,
    send_all,
)

HOSTILE = "<script>alert(1)</script>^=cmd|'/c calc'!A1"


def study(database: Database, clock: Clock, **values: Any) -> int:
    """Make a reported study; `report` holds what its report says, `profiles` who gets it."""
    said = {"finding": "opacity", "probability": 0.7, **values.pop("report", {})}
    profiles = values.pop("profiles", {"pacs": ("sr",)})
    made = new_report(new_result("sr"), **said)
    return reported_study(database, clock, film(**values), profiles=profiles, made=made)


def shown(answer: Any) -> list[int]:
    """List the ids of the rows of a page, in order."""
    assert answer.status_code == 200, answer.text
    return [int(found) for found in re.findall(r'<tr data-id="(\d+)"', answer.text)]


def link(answer: Any, label: str) -> str:
    """Return where a link with this text leads."""
    found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>\s*{re.escape(label)}\s*</a>', answer.text)
    assert found, f"no link {label!r}"
    return html.unescape(found[1])


def test_the_last_day_comes_with_the_likeliest_first(
    reader: Person, database: Database, clock: Clock
) -> None:
    old = study(database, clock)
    clock.move(hours=25)
    low = study(database, clock, report={"probability": 0.3, "finding": "normal"})
    high = study(database, clock, report={"probability": 0.9})
    receive(database, film(source_ae=SELF_TEST_AE))
    receive(database, film())
    waiting = low + 3
    log_in_again(reader)
    assert shown(reader.get("/")) == [high, low, waiting]
    assert shown(reader.get("/?order=newest")) == [waiting, high, low]
    assert shown(reader.get("/?period=all")) == [high, old, low, waiting]


def log_in_again(them: Person) -> None:
    """Log in anew: the clock was moved so far that the session has expired."""
    assert log_in(them.client, them.name).status_code == 303


def test_yesterdays_positives_of_a_source_that_were_not_delivered_are_three_clicks(
    reader: Person, database: Database, clock: Clock
) -> None:
    made: dict[str, int] = {}
    for name, source, finding, sent in (
        ("it", "ER", "opacity", False),
        ("sent", "ER", "opacity", True),
        ("normal", "ER", "normal", False),
        ("elsewhere", "WARD", "opacity", False),
    ):
        lane = "pacs" if sent else "ris"
        profiles = {lane: ("sr",)}
        made[name] = study(
            database, clock, source_ae=source, report={"finding": finding}, profiles=profiles
        )
        send_all(database, "pacs")
    clock.move(hours=24)
    study(database, clock, source_ae="ER", profiles={"ris": ("sr",)})
    log_in_again(reader)
    page = reader.get("/")
    for label in ("Yesterday", "Positive, not delivered", "ER"):
        page = reader.get(link(page, label))
    assert shown(page) == [made["it"]]


def test_a_day_begins_where_the_browser_is(
    reader: Person, database: Database, clock: Clock
) -> None:
    """It is noon in Greenwich: 21 o'clock in Tokyo, where the day began 21 hours ago."""
    receive(database, film())
    clock.move(hours=14)
    log_in_again(reader)
    assert shown(reader.get("/?period=today")) == []
    assert shown(reader.get("/?period=yesterday")) == [1]
    for zone, today in (("Asia/Tokyo", []), ("America/New_York", [1]), ("../../etc/passwd", [])):
        reader.client.cookies.set("hilum_zone", zone, "testserver.local")
        assert shown(reader.get("/?period=today")) == today, zone


def test_what_is_searched_for_is_found_in_all_time(
    reader: Person, database: Database, clock: Clock
) -> None:
    old = study(database, clock, patient_name="Curie^Marie", patient_id="P-77")
    clock.move(days=400)
    log_in_again(reader)
    assert shown(reader.get("/")) == []
    for typed in ("P-77", "curie, m", "CURIE"):
        assert shown(reader.get("/", params={"q": typed})) == [old], typed


def test_every_field_of_the_form_narrows_the_list(
    reader: Person, database: Database, clock: Clock
) -> None:
    one = study(database, clock, station="R1", source_ae="ER", report={"bundle": "a 1"})
    study(
        database,
        clock,
        station="R2",
        source_ae="WARD",
        study_date="20230101",
        profiles={"ris": ("sr",)},
        report={"bundle": "b 1", "probability": 0.1, "finding": "normal"},
    )
    for query in (
        "finding=opacity",
        "min=0.5",
        "min=0.5&max=0.8",
        "source=ER",
        "station=R1",
        "model=a+1",
        "destination=pacs",
        "study_from=2024-02-01",
        "from=2024-03-01&to=2024-03-01&station=R1",
    ):
        assert shown(reader.get(f"/?{query}")) == [one], query
    assert len(shown(reader.get("/?q=&finding=&min=&source=&state="))) == 2
    assert shown(reader.get("/?state=failed")) == []


@pytest.mark.parametrize(
    "query",
    ["min=2", "finding=x", "from=yesterday", "after=x", "after=1~2&before=1~2", "order=x", "max=x"],
)
def test_an_address_that_makes_no_sense_is_refused_with_a_sentence(
    reader: Person, query: str
) -> None:
    answer = reader.get(f"/?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.text or "exclude each other" in answer.text


@pytest.mark.parametrize("order", ["newest", "probability"])
def test_pages_are_turned_by_their_links(reader: Person, database: Database, order: str) -> None:
    receive(database, *(film() for _ in range(120)))
    first = reader.get(f"/?order={order}")
    second = reader.get(link(first, "Next ›"))
    third = reader.get(link(second, "Next ›"))
    assert "Next ›" not in third.text
    assert "Back" not in first.text
    pages = [shown(first), shown(second), shown(third)]
    assert [each for page in pages for each in page] == list(range(120, 0, -1))
    assert shown(reader.get(link(third, "‹ Back"))) == pages[1]
    assert shown(reader.get(link(second, "‹ Back"))) == pages[0]
    assert shown(reader.get(link(third, "« First"))) == pages[0]


def test_a_hostile_name_is_text_on_the_page_and_no_formula_in_a_file(
    reader: Person, database: Database
) -> None:
    receive(database, film(patient_name=HOSTILE, patient_id="=1+1", station='"><img src=x>'))
    page = reader.get("/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<img src=x>" not in page
    (row,) = csv.DictReader(
        io.StringIO(reader.get("/worklist/export.csv").content.decode("utf-8-sig"))
    )
    assert row["patient_id"] == "'=1+1"
    assert row["patient_name"] == HOSTILE


def test_exports_hold_everything_that_fits_and_the_trail_tells_of_them(
    reader: Person, database: Database, clock: Clock, context: Context
) -> None:
    made = study(database, clock, patient_id="P1", station="R1")
    receive(database, *(film(station="R1") for _ in range(70)), film(station="R2"))
    found = json.loads(reader.get("/worklist/export.json?station=R1").text)
    assert len(found) == 71
    (reported,) = [each for each in found if each["id"] == made]
    assert reported["deliveries"] == {"pacs": "waiting"}
    assert (reported["patient_id"], reported["probability"]) == ("P1", 0.7)
    text = reader.get("/worklist/export.csv?station=R1").content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in rows] == [str(each["id"]) for each in found]
    assert list(rows[0]) == list(found[0])
    assert json.loads(reader.get("/worklist/export.json?station=none").text) == []
    empty = reader.get("/worklist/export.csv?station=none").content.decode("utf-8-sig")
    assert list(csv.DictReader(io.StringIO(empty))) == []
    assert empty.startswith("id,received,patient_id")
    told = queries(context)
    assert {"station": "R1", "exported": 71} in told
    assert {"station": "none", "exported": 0} in told


def queries(context: Context) -> list[dict[str, Any]]:
    """Return what lists the trail tells of, as they were asked for."""
    found = re.findall(r"<ParticipantObjectQuery>(.*?)</Part", audit_records(context))
    return [json.loads(base64.b64decode(each)) for each in found]


def test_rows_are_sent_again_only_where_they_have_changed(
    reader: Person, database: Database, clock: Clock
) -> None:
    made = study(database, clock)
    first = reader.get("/worklist/rows")
    tag = first.headers["ETag"]
    clock.move(minutes=5)  # only the age has changed
    same = reader.get("/worklist/rows", headers={"If-None-Match": tag, "X-Poll": "1"})
    assert (same.status_code, same.content) == (304, b"")
    send_all(database)
    changed = reader.get("/worklist/rows", headers={"If-None-Match": tag})
    assert shown(changed) == [made]
    assert "delivered" in changed.text
    assert changed.headers["ETag"] != tag
    assert "<html" not in changed.text


def test_the_page_asks_for_the_rows_that_it_shows(reader: Person, database: Database) -> None:
    receive(database, *(film() for _ in range(60)))
    page = reader.get(link(reader.get("/?order=newest"), "Next ›"))
    found = re.search(r'data-rows="([^"]*)"', page.text)
    assert found
    assert shown(reader.get(html.unescape(found[1]))) == shown(page)


def test_the_trail_tells_once_what_a_list_has_shown(
    reader: Person, database: Database, clock: Clock, context: Context
) -> None:
    receive(database, film(), film())
    for _ in range(3):
        reader.get("/")
        reader.get("/worklist/rows")
    receive(database, film())
    reader.get("/worklist/rows")
    assert queries(context) == [{"studies": [2, 1]}, {"studies": [3]}]
    reader.get("/?source=MODALITY")
    assert queries(context)[2:] == [{"source": "MODALITY", "studies": [3, 2, 1]}]


def test_who_is_logged_out_is_told_so_and_not_led_away(reader: Person) -> None:
    reader.client.cookies.clear()
    answer = reader.get("/worklist/rows", headers={"Sec-Fetch-Mode": "cors"})
    assert answer.status_code == 401
