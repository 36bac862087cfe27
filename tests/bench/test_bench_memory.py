"""What `bench.memory` tells: what every role of a service holds, at each moment."""

from __future__ import annotations

from pathlib import Path

from bench import memory
from tests.system.whole import make_films


def test_every_role_of_a_service_is_looked_at(tmp_path: Path) -> None:
    found = memory.measure(make_films(tmp_path / "films", 3), tmp_path, 2)
    assert list(found) == [memory.FIRST, memory.AFTER, memory.OPEN]
    for moment in (memory.FIRST, memory.AFTER):
        assert set(found[moment]) == set(memory.ROLES)
        assert all(10 < size < 4000 for size in found[moment].values())
    assert set(found[memory.OPEN]) == {"listen"}


def test_a_role_that_was_not_looked_at_has_no_figure_and_gives_no_sum() -> None:
    whole = dict.fromkeys(memory.ROLES, 10.0)
    lines = memory.report({"one": whole, "two": {"listen": 20.0}}).splitlines()
    cells = {line.split("|")[1].strip(): line.split("|")[2:4] for line in lines[2:]}
    assert [cell.strip() for cell in cells["listener"]] == ["10 MB", "20 MB"]
    assert [cell.strip() for cell in cells["scheduler"]] == ["10 MB", ""]
    assert [cell.strip() for cell in cells["all"]] == ["60 MB", ""]
