"""`hilum sr`: a measurement report as a person reads it, or as JSON for a worklist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydicom.sr.coding import Code
from rich.console import Console

from commands.problem import ProblemError
from inference.report.header import ReportError
from inference.report.outline import Line, outline
from inference.report.read import Group, ReadReport, Region, read_report

_INDENT = "  "


def read(path: Path) -> ReadReport:
    """Read the report in a file.

    Raises:
        ProblemError: it cannot be opened, or is no measurement report.
    """
    try:
        return read_report(path)
    except ReportError as error:
        raise ProblemError(f"{path}: {error}") from None
    except OSError as error:
        raise ProblemError(f"{path}: {error.strerror}") from None


def print_report(report: ReadReport, console: Console, *, patients: bool) -> None:
    """Print a report; without `patients`, nothing of it that names the patient or the study."""
    told = outline(report, patients=patients)
    for line in (*_head(report, patients=patients), "", *_lines(told)):
        console.print(_printable(line), markup=False, highlight=False, soft_wrap=True)


def as_json(report: ReadReport, *, patients: bool) -> dict[str, Any]:
    """Return what a worklist needs, as plain data; shares are 0 to 1, unknown is None."""
    told: dict[str, Any] = {
        "title": _coded(report.title),
        "template": report.template or None,
        "sop_class_uid": report.sop_class_uid,
        "sop_instance_uid": report.sop_instance_uid,
        "manufacturer": report.manufacturer or None,
        "content_date_time": report.recorded or None,
        "completion": report.completion or None,
        "completion_description": report.completion_description or None,
        "verification": report.verification or None,
        "preliminary": report.preliminary or None,
        "observer": asdict(report.observer) if report.observer else None,
        "finding": report.finding.value if report.finding else None,
        "probability": report.probability,
        "opacity_probability": report.opacity_probability,
        "pneumonia": _coded(report.pneumonia),
        "normality": _coded(report.normality),
        "processing": _coded(report.processing),
        "sentence": report.sentence,
        "groups": [_group(group) for group in report.groups],
        "images": [asdict(each) for each in report.evidence],
        "predecessors": [asdict(each) for each in report.predecessors],
    }
    return {**told, "subject": asdict(report.subject)} if patients else told


def _head(report: ReadReport, *, patients: bool) -> Iterator[str]:
    yield report.title.meaning
    subject = report.subject
    if patients:
        born = subject.birth_date and f"born {subject.birth_date}"
        accession = subject.accession_number and f"accession number {subject.accession_number}"
        patient = (subject.patient_name, subject.patient_id, born, subject.sex)
        yield _field("Patient", *patient)
        yield _field("Study", subject.study_description, subject.study_date, accession)
    observer = report.observer
    device = (observer.model_name or observer.name, observer.manufacturer) if observer else ()
    yield _field("Observed by", *(device or (report.manufacturer,)))
    yield _field("Written", report.recorded)
    completion = report.completion.lower()
    if report.completion_description:
        completion += f" ({report.completion_description})"
    yield _field("State", completion, report.verification.lower(), report.preliminary.lower())
    for number, image in enumerate(report.evidence, start=1):
        yield _field(f"Image {number}", image.sop_instance_uid)
    for predecessor in report.predecessors:
        yield _field("Follows", predecessor.sop_instance_uid)


def _field(name: str, *parts: str | None) -> str:
    return f"{_INDENT}{name + ':':<13}{', '.join(part for part in parts if part) or '-'}"


def _lines(lines: Iterable[Line], indent: str = "") -> Iterator[str]:
    for line in lines:
        yield f"{indent}{line.name}" if line.value is None else f"{indent}{line.name}: {line.value}"
        yield from _lines(line.below, indent + _INDENT)


def _printable(line: str) -> str:
    """Return a line that a terminal only shows: texts of a file may hold control characters."""
    return "".join(each if each.isprintable() else " " for each in line)


def _group(group: Group) -> dict[str, Any]:
    return {
        "template": group.template or None,
        "tracking_identifier": group.tracking_identifier,
        "tracking_uid": group.tracking_uid,
        "finding": _coded(group.finding),
        "sites": [_coded(site) for site in group.sites],
        "certainty": group.certainty,
        "measurements": [
            {
                "name": _coded(name),
                "value": number.value,
                "unit": _coded(number.unit),
                "qualifier": _coded(number.qualifier),
            }
            for name, number in group.measurements
        ],
        "evaluations": [
            {"name": _coded(name), "value": _coded(value) if isinstance(value, Code) else value}
            for name, value in group.evaluations
        ],
        "regions": [_region(region) for region in group.regions],
    }


def _region(region: Region) -> dict[str, Any]:
    graphic = region.graphic
    return {
        "graphic_type": graphic.graphic_type if graphic else None,
        "points": [list(point) for point in graphic.points] if graphic else [],
        "frame_of_reference_uid": graphic.frame_of_reference_uid if graphic else None,
        "image": asdict(region.image) if region.image else None,
    }


def _coded(code: Code | None) -> dict[str, str] | None:
    if code is None:
        return None
    return {"code": code.value, "scheme": code.scheme_designator, "meaning": code.meaning}
