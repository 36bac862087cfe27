"""The programs in docs/worklist.md run as they are printed there, on every kind of report."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from inference.reading import Reading
from inference.report.build import build_study
from tests.inference.report.studies import (
    ABNORMAL,
    NORMAL,
    OPACITY,
    STUDY,
    film,
    job,
    read,
    refused,
)
from tests.twins import as_comprehensive_sr

PAGE = Path(__file__).parents[3] / "docs" / "worklist.md"


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(program: str, report: bytes, folder: Path) -> list[str]:
    """Run a program of the page on a report; return the lines that it prints."""
    (folder / "program.py").write_text(program)
    (folder / "report.dcm").write_bytes(report)
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py", "report.dcm"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("reading", "head", "verdict"),
    [
        (OPACITY, "P-7 A7001 COMPLETE UNVERIFIED", "Present 87.31"),
        (ABNORMAL, "P-7 A7001 COMPLETE UNVERIFIED", "Absent 12.0"),
        (NORMAL, "P-7 A7001 COMPLETE UNVERIFIED", "Absent 3.1"),
        (None, "P-7 A7001 PARTIAL UNVERIFIED", "Undetermined"),
    ],
)
def test_the_worklist_line_is_what_the_report_says(
    tmp_path: Path, reading: Reading | None, head: str, verdict: str
) -> None:
    path = film(tmp_path / "film.dcm")
    result = build_study(job(read(path, reading) if reading else refused(path)))
    expected = [head, verdict, result.sentence]
    assert run(programs()[0], result.sr.data, tmp_path) == expected
    twin, _ = as_comprehensive_sr(result.sr.data)
    assert run(programs()[0], twin, tmp_path) == expected


def test_the_boxes_are_those_of_the_reading(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    positive, negative = build_study(job(read(path))), build_study(job(read(path, NORMAL)))
    assert run(programs()[1], positive.sr.data, tmp_path) == [
        f"{STUDY}.1.1: 20.5,60 to 100.5,180.25 91 % Right lung",
        f"{STUDY}.1.1: 150,90 to 220,230 64 % Left lung",
    ]
    assert run(programs()[1], negative.sr.data, tmp_path) == []


def test_the_page_holds_the_two_programs_and_they_are_short() -> None:
    assert len(programs()) == 2
    assert all(len(program.splitlines()) <= 18 for program in programs())
