"""What `bench.latency` measures: where a film's time goes on an idle service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench import latency
from bench.service import Times, service
from tests.system.whole import make_films

START = datetime(2026, 1, 1, tzinfo=UTC)
ABOUT = {
    "cores": 2, "processor": "P", "load": 0.1, "load_at_the_end": 0.2, "bundle": "b 1",
    "runtime": "openvino", "commit": "c", "time": "t",
}  # fmt: skip


def _at(milliseconds: int) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


def test_the_parts_of_the_way_add_up_to_the_whole() -> None:
    found = latency.stages(START, Times(_at(100), _at(250), _at(300), _at(340)))
    assert [found[name] for name in latency.STAGES] == pytest.approx([0.1, 0.15, 0.05])
    assert found[latency.WHOLE] == pytest.approx(0.3)
    assert found[latency.RECORDED] == pytest.approx(0.34)


@pytest.mark.parametrize(("whole", "said"), [(0.3, "reached: 200 ms"), (0.36, "missed: 260 ms")])
def test_the_goal_is_held_against_the_networks_own_time(whole: float, said: str) -> None:
    names = [latency.NETWORK, latency.LIMIT, latency.BEYOND, latency.RECORDED, *latency.STAGES]
    found = {name: [0.1] for name in names} | {latency.WHOLE: [whole]}
    text = latency.report(ABOUT, found)
    assert f"The goal is {said} beyond the network" in text
    assert "<= 350 ms" in text


def test_a_films_times_follow_each_other_from_its_answer_to_the_pacs(tmp_path: Path) -> None:
    films = make_films(tmp_path / "films", 2)
    with service(tmp_path, deliver=True) as running:
        for film in films:
            answered = running.store(film)
            running.wait_until_done()
            times = running.times()
            assert answered < times.read < times.reported < times.recorded
            assert times.reported - timedelta(seconds=0.01) < times.stored < times.recorded
