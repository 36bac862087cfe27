"""The dependency audit of the build: a hole fails it, and what could not be asked is said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.peers import ROOT

# What pip-audit does: status, what it says, and what it writes to the file after --output.
NOTHING_FOUND = 'echo "No known vulnerabilities found"; printf "{}" >"$out"'
A_HOLE = 'echo "Found 1 known vulnerability"; printf "{}" >"$out"; exit 1'
NOBODY_THERE = 'echo "ERROR: connection refused" >&2; exit 1'


def audit(folder: Path, does: str) -> tuple[int, str]:
    """Run the audit with a pip-audit that does this."""
    tool = folder / "pip-audit"
    script = f'#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\nout=$2\n{does}\n'
    tool.write_text(script)
    tool.chmod(0o700)
    (folder / "constraints.txt").write_text("a==1\nb==2\n")
    done = subprocess.run(
        [ROOT / ".ci" / "audit", tool, folder / "constraints.txt"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("does", "code", "said"),
    [
        (NOTHING_FOUND, 0, "no known hole in 2 packages"),
        (A_HOLE, 1, "KNOWN HOLES"),
        (NOBODY_THERE, 0, "SKIPPED"),
    ],
)
def test_a_hole_fails_the_build_and_a_missing_service_is_said(
    does: str, code: int, said: str, tmp_path: Path
) -> None:
    status, output = audit(tmp_path, does)
    assert status == code
    assert said in output
