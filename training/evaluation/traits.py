"""What is known of a film's subject and view: from its header, or from the NIH films' table."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference import elements
from inference.decode import read_header
from training.evaluation.case import age_group
from training.tables import Film


@dataclass(frozen=True, slots=True)
class Traits:
    """View Position, sex (M or F) and age group of a film, "" where they are not known."""

    view: str
    sex: str
    age: str


def dicom_traits(path: Path) -> Traits:
    """Read view, sex and age from a DICOM file's header.

    Raises:
        RefusedError: it is no DICOM file.
    """
    header = read_header(path)
    age = re.fullmatch(r"(\d{1,3})\s*Y?", elements.text(header, "PatientAge").upper())
    sex = elements.text(header, "PatientSex").upper()
    view = elements.text(header, "ViewPosition").upper()
    years = float(age.group(1)) if age else None
    return Traits(view, sex if sex in ("F", "M") else "", age_group(years))


def nih_traits(films: Sequence[Film]) -> dict[str, Traits]:
    """Read view, sex and age of NIH films, by id, from their table; nothing for other films."""
    tables = {film.path.parent.parent / "labels.csv" for film in films if film.source == "nih"}
    found = {}
    for table in tables:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                age = row.get("age") or ""
                found[Path(row["image"]).stem] = Traits(
                    row.get("view") or "",
                    row.get("sex") or "",
                    age_group(float(age) if age.isdigit() else None),
                )
    return found
