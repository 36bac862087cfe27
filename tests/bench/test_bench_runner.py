"""`python -m bench` runs the benchmarks that there are, and says what it lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import PROGRAMS
from tests.peers import ROOT


def run(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_benchmark_takes_what_it_is_started_with(name: str) -> None:
    shown = run(f"bench.{name}", "--help")
    assert shown.returncode == 0, shown.stderr
    options = [word for word in PROGRAMS[name].quick if word.startswith("--")]
    for option in [*options, *(["--films"] if PROGRAMS[name].films else [])]:
        assert option in shown.stdout


def test_what_there_is_not_is_named() -> None:
    done = run("bench", "nothing")
    assert done.returncode != 0
    assert "there is no benchmark nothing" in done.stderr


def test_films_are_asked_for_before_anything_runs() -> None:
    done = run("bench")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "--films" in done.stderr
