"""`hilum history` and `hilum show`: lists of studies, and everything about one study."""

from __future__ import annotations

import csv
import json
import sys
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text
from sqlalchemy.orm import Session

from commands.plain_table import plain_table
from db import history
from db.models import Instance, ShadowReading, Study, columns_of
from db.states import Subject

_COLORS = {"opacity": "red", "abnormal": "yellow", "normal": "green", "failed": "magenta"}


def rows(session: Session, wanted: history.Filter, limit: int) -> list[dict[str, Any]]:
    """Return studies as plain dictionaries for tables, JSON and CSV."""
    found = history.studies(session, wanted, limit=limit)
    sent = history.deliveries(session, [study.id for study in found])
    return [
        {
            "id": study.id,
            "received": _iso(study.created_at),
            "patient_id": study.patient_id,
            "patient_name": study.patient_name,
            "accession_number": study.accession_number,
            "study_date": study.study_date,
            "study_instance_uid": study.study_instance_uid,
            "source": study.source_ae,
            "state": study.state.value,
            "revision": study.revision,
            "priority": study.priority.value,
            "finding": study.finding,
            "probability": study.probability,
            "sentence": study.sentence,
            "bundle": study.bundle,
            "reported": _iso(study.reported_at),
            "deliveries": {
                each.destination: {
                    "sent": each.sent,
                    "pending": each.pending,
                    "rejected": each.rejected,
                }
                for each in sent.get(study.id, [])
            },
        }
        for study in found
    ]


def print_table(found: list[dict[str, Any]], console: Console) -> None:
    """Print studies for people."""
    columns = ("id", "received", "patient", "accession", "from", "state", "finding", "", "sent")
    table = plain_table(*columns, right=("id",), whole=("received", "state", "finding", ""))
    for row in found:
        table.add_row(
            str(row["id"]),
            (row["received"] or "")[:16].replace("T", " "),
            Text(row["patient_id"] or row["patient_name"] or "-"),
            Text(row["accession_number"] or "-"),
            Text(row["source"]),
            row["state"],
            Text(row["finding"] or "-", style=_COLORS.get(row["finding"] or "", "")),
            "" if row["probability"] is None else f"{row['probability']:.0%}{_urgent(row)}",
            "; ".join(map(_sent, row["deliveries"].items())) or "-",
        )
    console.print(table if found else "No study fits.")


def _urgent(row: dict[str, Any]) -> str:
    return " urgent" if row["priority"] == "urgent" else ""


def _sent(deliveries: tuple[str, dict[str, int]]) -> str:
    name, counts = deliveries
    return f"{name}: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def print_csv(found: list[dict[str, Any]]) -> None:
    """Print studies as CSV with a header line."""
    if not found:
        return
    writer = csv.DictWriter(sys.stdout, fieldnames=list(found[0]))
    writer.writeheader()
    for row in found:
        writer.writerow({**row, "deliveries": json.dumps(row["deliveries"])})


def everything(session: Session, study: Study) -> dict[str, Any]:
    """Return all that is known of a study as plain data."""
    return {
        **_plain(study),
        "images": [
            {
                **_plain(image),
                "readings": [_plain(each) for each in image.readings],
                "shadow_readings": [_plain(each) for each in image.shadow_readings],
            }
            for image in study.instances
        ],
        "reports": [
            {
                **_plain(report),
                "results": [
                    {**_plain(result), "deliveries": [_plain(each) for each in result.deliveries]}
                    for result in report.results
                ],
            }
            for report in study.reports
        ],
        "timeline": [_plain(event) for event in history.timeline(session, study.id)],
    }


def print_study(session: Session, study: Study, console: Console) -> None:
    """Print all that is known of a study, for people."""
    console.print(
        Text.assemble(
            ("Study ", "bold"),
            (str(study.id), "bold"),
            f"  patient {study.patient_id or '-'}  accession {study.accession_number or '-'}"
            f"  from {study.source_ae}  {study.state.value}, revision {study.revision},"
            f" {study.priority.value}",
        )
    )
    if study.sentence:
        console.print(Text(study.sentence, style=_COLORS.get(study.finding or "", "")))
    for number, image in enumerate(study.instances, start=1):
        console.print(
            Text.assemble(("\nImage ", "bold"), (str(number), "bold"), f"  {_said(image)}")
        )
        for box in image.readings[-1].boxes if image.readings else []:
            console.print(
                f"  box at column {box['x']:.0f}, row {box['y']:.0f}, {box['width']:.0f} wide,"
                f" {box['height']:.0f} high, score {box['score']:.0%}",
                highlight=False,
            )
        for beside in image.shadow_readings:
            console.print(
                f"  in shadow, not reported: {_said_in_shadow(beside)}",
                highlight=False,
                markup=False,
            )
    console.print()
    print_timeline(session, study.id, console)


def print_timeline(session: Session, study_id: int, console: Console) -> None:
    """Print every event of a study, its images numbered as they came."""
    study = session.get_one(Study, study_id)
    names = {
        (Subject.INSTANCE, image.id): f"image {number}"
        for number, image in enumerate(study.instances, start=1)
    }
    names |= {
        (Subject.DELIVERY, each.id): f"{result.kind} to {each.destination}"
        for report in study.reports
        for result in report.results
        for each in result.deliveries
    }
    table = plain_table("when", "what", "state", "why", whole=("when",))
    for event in history.timeline(session, study_id):
        table.add_row(
            f"{event.at:%Y-%m-%d %H:%M:%S.%f}"[:-3],
            Text(names.get((event.subject, event.subject_id), event.subject.value)),
            event.state,
            Text(event.reason or ""),
        )
    console.print(table)


def _said(image: Instance) -> str:
    if image.readings and image.state.value == "read":
        said = image.readings[-1]
        return (
            f"pneumonia {said.pneumonia:.0%} (threshold {said.threshold:.0%});"
            f" normal {said.p_normal:.0%}, not normal {said.p_not_normal:.0%},"
            f" lung opacity {said.p_lung_opacity:.0%}; {said.bundle}"
        )
    flag = " (an altered copy)" if image.altered_from is not None else ""
    return f"{image.state.value}{flag}: {image.reason or 'no reading yet'}"


def _said_in_shadow(beside: ShadowReading) -> str:
    if beside.pneumonia is None:
        return f"{beside.bundle} gave no reading ({beside.reason})"
    return f"{beside.bundle} {beside.finding}, pneumonia {beside.pneumonia:.0%}"


def _plain(row: Any) -> dict[str, Any]:
    return {
        name: _iso(value) if isinstance(value, datetime) else value
        for name, value in columns_of(row).items()
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
