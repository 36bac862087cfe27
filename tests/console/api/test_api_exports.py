"""Exports by the API: the same files as the pages give, made while they are sent."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from collections.abc import Iterator

import pytest

from console.context import Context
from console.services.exports import zipped
from db.session import Database
from tests.console.api.calling import Program, refused
from tests.console.browsing import audit_records
from tests.db.makers import Clock, film, new_report, reported_study
from tests.inference.films import make_film


def test_the_worklist_leaves_as_csv_and_json(
    reading: Program, database: Database, clock: Clock, context: Context
) -> None:
    for share in (0.1, 0.9):
        reported_study(
            database, clock, film(patient_name="=cmd()"), made=new_report(probability=share)
        )
    answer = reading.get("/exports/worklist.csv?order=probability")
    assert answer.headers["Content-Type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [each["probability"] for each in lines] == ["0.9", "0.1"]
    assert lines[0]["patient_name"] == "'=cmd()"
    found = reading.get("/exports/worklist.json?probability_min=0.5").json()
    assert [each["probability"] for each in found] == [0.9]
    assert json.loads(reading.get("/exports/worklist.json?station=none").text) == []
    refused(reading.get("/exports/worklist.csv?nothing=1"), 422)
    told = base64.b64encode(b"studies, CSV").decode()
    assert audit_records(context).count(told) == 1


def test_films_with_verdicts_leave_as_a_training_set(
    everything: Program, reading: Program, database: Database, clock: Clock, context: Context
) -> None:
    make_film(context.files.root / "films" / "film.dcm")
    study = reported_study(database, clock, film(path="films/film.dcm"))
    read = everything.get(f"/studies/{study}").json()["films"][0]["readings"][0]["id"]
    said = {"reading_id": read, "finding": "normal"}
    assert everything.post(f"/studies/{study}/verdicts", said).status_code == 201
    answer = everything.get("/exports/verdicts.zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    assert len([name for name in archive.namelist() if name.endswith(".dcm")]) == 1
    assert archive.read("README.txt") == b"1 film written.\n"
    late = everything.get("/exports/verdicts.zip?since=2100-01-01T00:00:00Z")
    assert b"0 films" in zipfile.ZipFile(io.BytesIO(late.content)).read("README.txt")
    refused(reading.get("/exports/verdicts.zip"), 403)


def test_a_zip_is_sent_as_it_is_made() -> None:
    asked = []

    def files() -> Iterator[tuple[str, bytes]]:
        for number in range(3):
            asked.append(number)
            yield f"{number}.dcm", b"x" * 1000 * number

    parts = zipped(files())
    first = next(parts)
    assert first
    assert asked == [0]
    whole = first + b"".join(parts)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert archive.read("2.dcm") == b"x" * 2000


def test_a_zip_that_breaks_off_opens_nowhere() -> None:
    def files() -> Iterator[tuple[str, bytes]]:
        yield "1.dcm", b"x" * 1000
        raise OSError

    sent = b""
    with pytest.raises(OSError):  # noqa: PT011, PT012 - what has left until then is looked at
        for part in zipped(files()):
            sent += part
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(sent))
