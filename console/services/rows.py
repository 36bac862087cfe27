"""Studies as exports of the worklist tell them: plain data, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db import history
from db.history import DeliveryCount
from db.models import Study

COLUMNS = (
    "id",
    "received",
    "patient_id",
    "patient_name",
    "patient_birth_date",
    "patient_sex",
    "accession_number",
    "study_instance_uid",
    "study_date",
    "study_description",
    "source",
    "station",
    "state",
    "revision",
    "priority",
    "finding",
    "probability",
    "sentence",
    "model",
    "reported",
    "deliveries",
)
"""What exports hold of a study, in this order."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for a formula, or as the beginning of one."""


def plain(session: Session, studies: Sequence[Study]) -> list[dict[str, Any]]:
    """Return studies as plain data, in their order; the keys are `COLUMNS`."""
    delivered = history.deliveries(session, [study.id for study in studies])
    return [
        {
            "id": study.id,
            "received": _iso(study.created_at),
            "patient_id": study.patient_id,
            "patient_name": study.patient_name,
            "patient_birth_date": study.patient_birth_date,
            "patient_sex": study.patient_sex,
            "accession_number": study.accession_number,
            "study_instance_uid": study.study_instance_uid,
            "study_date": study.study_date,
            "study_description": study.study_description,
            "source": study.source_ae,
            "station": study.station,
            "state": study.state.value,
            "revision": study.revision,
            "priority": study.priority.value,
            "finding": study.finding,
            "probability": study.probability,
            "sentence": study.sentence,
            "model": study.bundle,
            "reported": _iso(study.reported_at),
            "deliveries": {each.destination: word_of(each) for each in delivered.get(study.id, [])},
        }
        for study in studies
    ]


def csv_lines(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield plain data as lines of CSV (RFC 4180) with a header, after the mark that tells
    spreadsheets that it is UTF-8.

    No cell is a formula to a spreadsheet: a peer's text could have it call somebody.
    """
    yield "\ufeff" + _line(COLUMNS)
    for each in found:
        values = {**each, "deliveries": _deliveries_text(each["deliveries"])}
        yield _line([_no_formula(values[name]) for name in COLUMNS])


def json_parts(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield plain data as the parts of one JSON array."""
    before = "[\n"
    for each in found:
        yield before + json.dumps(each, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def word_of(each: DeliveryCount) -> str:
    """Say in a word how far the results of a study have got at one destination."""
    if each.rejected:
        return "rejected"
    if each.pending:
        return "waiting"
    return "committed" if each.committed == each.sent else "delivered"


def _deliveries_text(delivered: Mapping[str, str]) -> str:
    return "; ".join(f"{destination}: {word}" for destination, word in delivered.items())


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _line(values: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(values)
    return buffer.getvalue()


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
