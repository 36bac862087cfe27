"""The outside judges of every result: programs that are not ours say what is wrong with a file.

Each judge takes files and returns problems, an empty list meaning none. A warning that may remain
is in ALLOWED with its reason; everything else that a judge says is a problem. A judge that is not
installed skips the test.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import NDArray

PACKAGES = {
    "dciodvfy": "dicom3tools",
    "dcentvfy": "dicom3tools",
    "dsrdump": "dcmtk",
    "dsr2html": "dcmtk",
    "dcmj2pnm": "dcmtk",
    "dcmdump": "dcmtk",
    "dcmpschk": "dcmtk",
    "dcmp2pgm": "dcmtk",
    "dcmdjpeg": "dcmtk",
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """A line that a judge may say, and why we let it."""

    judge: str
    pattern: str
    reason: str


ALLOWED = (
    Allowed(
        "dciodvfy",
        r"Missing attribute or value that would be needed to build DICOMDIR",
        "The film has no Study ID, date or the like, and a result must not invent what its study "
        "does not have.",
    ),
    Allowed(
        "dciodvfy",
        r"</(PatientName|ReferringPhysicianName|OtherPatientNames)\(.*Retired Person Name form",
        "The name has no components. It came so and goes back so.",
    ),
    Allowed(
        "dciodvfy",
        r"^(Comprehensive3DSR|ComprehensiveSR|SCImage|GrayscaleSoftcopyPresentationState)$",
        "Not a complaint: the kind of object that dciodvfy found.",
    ),
    Allowed(
        "dciodvfy",
        r"</Patient(Size|Weight)\(.*Value is zero",
        "The film says so.",
    ),
    Allowed(
        "dciodvfy",
        r"CodingSchemeDesignator\(0008,0102\)\[1\]> - Unrecognized defined term",
        "The film's procedure is coded in a scheme of the hospital's own.",
    ),
    Allowed(
        "dciodvfy",
        r"</LossyImageCompressionMethod\(.*\[1\]> - method inconsistent with Transfer Syntax",
        "The first value is how the film was compressed before; the last one is the overlay's own.",
    ),
    Allowed(
        "dcentvfy",
        r"Attribute present in one instance but not the other",
        "The film lacks an attribute that must at least be empty in a result, or has one that a "
        "result leaves out: an invalid value such as the age '51', or a rare attribute.",
    ),
    Allowed(
        "dcentvfy",
        r"Attribute is empty \(zero length\) in one instance - OK only If Type 2 attribute",
        "The film has an invalid value, such as the sex 'U', where a result must be valid: empty.",
    ),
    Allowed(
        "dcentvfy",
        r"Different information entities for attribute - Element=<AccessionNumber> IE <Study> "
        r"versus <Series>",
        "dicom3tools files the attribute under different entities for different kinds of object. "
        "A difference of values would be an error of its own.",
    ),
    Allowed(
        "dcmpschk",
        r"^W: (Testing: .*|Test passed\.)$",
        "Not a complaint: what dcmpschk is doing, and that nothing is wrong.",
    ),
    Allowed(
        "dsrdump",
        r"^W: (The VR checker does not support this|Reading unknown/unsupported) ?"
        r"Specific ?Character ?Set",
        "A limit of DCMTK's own, said of the film's character set.",
    ),
)


def dciodvfy(path: Path) -> list[str]:
    """Check an object against its IOD: its exit code and every line it says."""
    run = _run("dciodvfy", "-new", str(path))
    problems = _problems("dciodvfy", run)
    if run.returncode != 0:
        problems.append(f"dciodvfy exits {run.returncode} for {path.name}")
    return problems


def dcentvfy(*paths: Path) -> list[str]:
    """Check that objects of one study agree about patient, study and series."""
    return _problems("dcentvfy", _run("dcentvfy", *map(str, paths)))


def dsrdump(path: Path) -> list[str]:
    """Check that DCMTK reads a structured report without an error or a warning."""
    run = _run("dsrdump", str(path))
    lines = [line for line in _lines(run.stderr) if not _allowed("dsrdump", line)]
    if run.returncode != 0:
        lines.append(f"dsrdump exits {run.returncode} for {path.name}")
    return [f"dsrdump: {line}" for line in lines]


def dcmpschk(path: Path) -> list[str]:
    """Check a presentation state with DCMTK: its exit code and every line it says."""
    run = _run("dcmpschk", str(path))
    problems = _problems("dcmpschk", run)
    if run.returncode != 0 or "Test passed" not in run.stdout + run.stderr:
        problems.append(f"dcmpschk does not pass {path.name}")
    return problems


def rendered(film: Path, presentation: Path | None = None) -> NDArray[np.uint8]:
    """Return a grayscale film as DCMTK shows it, as a presentation state says or as it is."""
    with TemporaryDirectory() as folder:
        bitmap, plain = Path(folder) / "film.pgm", Path(folder) / "film.dcm"
        asked = () if presentation is None else ("--pstate", str(presentation))
        _run_bytes("dcmdjpeg", str(film), str(plain))  # also copies what is not compressed
        _run_bytes("dcmp2pgm", *asked, str(plain), str(bitmap))
        pgm = bitmap.read_bytes()
    head = re.match(rb"P5\s+(?:#[^\n]*\n)*(\d+)\s+(\d+)\s+255\s", pgm)
    assert head is not None, f"dcmp2pgm makes no picture of {film.name}"
    return np.frombuffer(pgm[head.end() :], np.uint8).reshape(int(head[2]), int(head[1]))


def sr_text(path: Path) -> str:
    """Return a structured report as DCMTK prints it, with whole texts and coordinates."""
    return _run("dsrdump", "+Pl", "+Pc", str(path)).stdout


def sr_page(path: Path) -> str:
    """Return a structured report as a page of text that a person reads, made by dsr2html."""
    html = _run("dsr2html", str(path)).stdout
    html = re.sub(r"<(style|title)>.*?</\1>", "", html, flags=re.S)
    text = re.sub(r"<[^>]+>", " ", html)
    return re.sub(r"\s+", " ", text).strip()


def pixels(path: Path) -> NDArray[np.uint8]:
    """Return a colour image (rows, columns, RGB) as DCMTK decodes it."""
    ppm = _run_bytes("dcmj2pnm", "+op", str(path))
    head = re.match(rb"P6\s+(?:#[^\n]*\n)*(\d+)\s+(\d+)\s+255\s", ppm)
    assert head is not None, f"dcmj2pnm makes no colour picture of {path.name}"
    columns, rows = int(head[1]), int(head[2])
    return np.frombuffer(ppm[head.end() :], np.uint8).reshape(rows, columns, 3)


def dump(path: Path) -> str:
    """Return a data set as dcmdump prints it, its bytes as they are, one character each."""
    return _run_bytes("dcmdump", "+L", str(path)).decode("latin-1")


def judge(results: Sequence[Path], films: Sequence[Path]) -> list[str]:
    """Let every judge of data sets look at the results of one study beside its films."""
    problems = dcentvfy(*results, *films)
    for path in results:
        problems += dciodvfy(path)
        if is_report(path):
            problems += dsrdump(path)
        if _modality(path) == "PR":
            problems += dcmpschk(path)
    return problems


def is_report(path: Path) -> bool:
    """Whether dcmdump finds a structured report in the file."""
    return _modality(path) == "SR"


def require(tool: str) -> str:
    """Return the path of a judge; skip the test where it is not installed."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed (Debian package {PACKAGES[tool]})")
    return found


def _modality(path: Path) -> str:
    found = re.search(r"\[(.*?)\s*\]", _run("dcmdump", "+P", "0008,0060", str(path)).stdout)
    return found[1] if found else ""


def _problems(judge: str, run: subprocess.CompletedProcess[str]) -> list[str]:
    lines = _lines(run.stdout + run.stderr)
    return [f"{judge}: {line}" for line in lines if not _allowed(judge, line)]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _allowed(judge: str, line: str) -> bool:
    return any(entry.judge == judge and re.search(entry.pattern, line) for entry in ALLOWED)


def _run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require(tool), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )


def _run_bytes(tool: str, *arguments: str) -> bytes:
    return subprocess.run(
        [require(tool), *arguments], capture_output=True, timeout=60, check=True
    ).stdout
