"""The trail's files: whatever is changed, left out or put in is found out."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit import file
from audit.file import append, verify

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Six records of three days."""
    for number in range(6):
        append(tmp_path, f"<record {number}/>", AT + timedelta(hours=10 * number))
    return tmp_path


def _days(trail: Path) -> list[Path]:
    return sorted(trail.glob("*.audit"))


def test_the_whole_chain_fits_together(trail: Path) -> None:
    found = verify(trail)
    assert (found.records, found.days, found.problem) == (6, 3, None)
    assert found.first_day == "2026-11-29"
    assert found.last in _days(trail)[-1].read_text().splitlines()[-1]


def _rewrite(day: Path, change: Callable[[list[str]], list[str]]) -> None:
    day.write_text("".join(change(day.read_text().splitlines(keepends=True))))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda lines: [lines[0].replace("record", "recorb"), *lines[1:]], id="changed"
        ),
        pytest.param(lambda lines: lines[1:], id="left out"),
        pytest.param(lambda lines: [lines[0], *lines], id="twice"),
        pytest.param(lambda lines: lines[::-1], id="swapped"),
        pytest.param(lambda lines: [*lines, "<record/>\n"], id="without a hash"),
        pytest.param(lambda lines: [], id="emptied"),
    ],
)
def test_a_day_that_was_tampered_with_is_named(
    trail: Path, change: Callable[[list[str]], list[str]]
) -> None:
    _rewrite(_days(trail)[1], change)
    problem = verify(trail).problem
    assert problem is not None
    assert "does not fit the record before it" in problem


def test_a_day_that_is_gone_is_found_out(trail: Path) -> None:
    _days(trail)[1].unlink()
    assert "does not fit" in (verify(trail).problem or "")


@pytest.mark.parametrize("count", [1, 2])
def test_records_cut_off_at_the_end_are_found_out(trail: Path, count: int) -> None:
    _rewrite(_days(trail)[2], lambda lines: lines[:-count])
    assert "records at the end are missing" in (verify(trail).problem or "")


def test_the_earliest_days_may_be_put_away(trail: Path) -> None:
    _days(trail)[0].unlink()
    found = verify(trail)
    assert (found.problem, found.first_day) == (None, "2026-11-30")


def test_a_process_killed_between_record_and_head_breaks_nothing(trail: Path) -> None:
    head = (trail / "head").read_text()
    append(trail, "<record 6/>", AT + timedelta(days=3))
    (trail / "head").write_text(head)
    assert verify(trail).problem is None
    append(trail, "<record 7/>" + "x" * 50_000, AT + timedelta(days=3))
    append(trail, "<record 8/>", AT + timedelta(days=4))
    found = verify(trail)
    assert (found.records, found.problem) == (9, None)


def test_a_clock_that_is_set_back_breaks_nothing(trail: Path) -> None:
    for days in (-400, -1, 1, 0):
        append(trail, f"<record {days}/>", AT + timedelta(days=days))
    found = verify(trail)
    assert (found.records, found.days, found.problem) == (10, 3, None)


def test_processes_that_write_at_once_keep_one_chain(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from audit.file import append\n"
        "for n in range(100): append(Path(sys.argv[1]), f'<r {n}/>', datetime.now(UTC))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=dict(os.environ))
        for _ in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    found = verify(tmp_path)
    assert (found.records, found.problem) == (300, None)


def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        append(tmp_path / "audit", "<record/>", AT)
    finally:
        os.umask(before)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "audit").iterdir()
    }
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o700


def test_without_records_there_is_nothing_to_find_fault_with(tmp_path: Path) -> None:
    assert verify(tmp_path / "none").problem is None


def test_a_trail_that_begins_while_it_is_walked_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = file.days

    def begun_meanwhile(folder: Path) -> list[Path]:
        monkeypatch.setattr(file, "days", real)
        append(folder, "<record/>", AT)
        return real(folder)

    monkeypatch.setattr(file, "days", begun_meanwhile)
    found = verify(tmp_path)
    assert (found.records, found.problem) == (1, None)
