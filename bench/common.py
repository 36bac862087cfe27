"""What every benchmark needs: films with fresh UIDs, medians, tables, the machine, a record."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import generate_uid

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "runs"
LIBRARIES = ("tensorflow", "openvino", "pydicom", "pynetdicom", "highdicom", "sqlalchemy", "numpy")


def find_films(folder: Path) -> list[Path]:
    """Return the .dcm files below a folder, in name order.

    Raises:
        SystemExit: there are none.
    """
    films = sorted(folder.rglob("*.dcm"))
    if not films:
        sys.exit(f"{folder}: no .dcm files here; name a folder of films with --films")
    return films


def fresh_copies(films: Sequence[Path], count: int, folder: Path) -> list[Path]:
    """Write `count` copies of the films in turn, each a study of its own with UIDs of its own."""
    folder.mkdir(parents=True)
    copies = []
    for number, film in enumerate(islice(cycle(films), count)):
        dataset = dcmread(film)
        dataset.StudyInstanceUID = generate_uid()
        dataset.SeriesInstanceUID = generate_uid()
        dataset.SOPInstanceUID = generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = folder / f"{number:06}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        copies.append(path)
    return copies


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with its columns aligned."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    return "\n".join([text[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *text[1:]])


def machine() -> dict[str, Any]:
    """Return what a figure depends on: processor, cores, Python, libraries, commit."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def keep(name: str, record: Mapping[str, Any]) -> Path:
    """Write the record of a run to `runs/` as JSON and return its path."""
    RUNS.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    path = RUNS / f"{name}-{stamp}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
