"""One film on an idle service: from the end of its C-STORE to its report at the PACS.

    python -m bench.latency --films FOLDER --count 30

Films are sent one at a time to a service with nothing else to do, its quiet time 0, after pauses of
random length, so that they meet those who look for work anywhere between two looks. After each the
limit is measured in the same way: the network's own time for that film alone, and with decoding.
The goal is the network's time and 250 ms. The record is kept in runs/.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.bare import Bare
from bench.common import find_films, fresh_copies, keep, machine, median, table
from bench.open_loop import percentile
from bench.service import Times, service
from settings import Settings

GOAL_SECONDS = 0.25
PAUSE_SECONDS = (0.5, 1.5)
WARM_UP = 5
Found = dict[str, list[float]]
"""Seconds of each film, by what took them."""
WHOLE, NETWORK, LIMIT = "to the report at the PACS", "network", "decode + network"
BEYOND, RECORDED = "beyond the network", "to both objects recorded as delivered"
READ, REPORTED, SENT = "until the reading", "until its report", "until the PACS has it"
STAGES = (READ, REPORTED, SENT)


def main() -> None:
    """Measure, print tables, keep the record."""
    arguments = _arguments()
    films = find_films(arguments.films)
    about = machine()
    with Bare(Settings()) as bare, tempfile.TemporaryDirectory(prefix="hilum-bench-") as name:
        about["runtime"], about["bundle"] = bare.predictor.runtime, bare.predictor.bundle.label
        found = _measure(bare, bare.eligible(films), arguments.count, Path(name))
    about["load_at_the_end"] = os.getloadavg()[0]
    path = keep("latency", {"machine": about, "seconds": found})
    print(report(about, found))
    print(f"\nKept in {path}")


def _measure(bare: Bare, films: Sequence[Path], count: int, folder: Path) -> Found:
    found: Found = {}
    warm = fresh_copies(films, WARM_UP, folder / "warm")
    copies = fresh_copies(films, count, folder / "films")
    for film in warm:
        bare.one_film(film)
    with service(folder, deliver=True) as running:
        for film in warm:
            running.store(film)
            running.wait_until_done()
        for film in copies:
            time.sleep(random.uniform(*PAUSE_SECONDS))
            answered = running.store(film)
            running.wait_until_done()
            took = {
                NETWORK: bare.network_alone(film),
                LIMIT: bare.one_film(film),
                **stages(answered, running.times()),
            }
            took[BEYOND] = took[WHOLE] - took[NETWORK]
            for what, seconds in took.items():
                found.setdefault(what, []).append(seconds)
    return found


def stages(answered: datetime, times: Times) -> Mapping[str, float]:
    """Return the seconds that a film spent on its way, whole and from one place to the next."""
    places = [answered, times.read, times.reported, times.stored]
    parts = zip(STAGES, places, places[1:], strict=False)
    return {
        **{name: (after - before).total_seconds() for name, before, after in parts},
        WHOLE: (times.stored - answered).total_seconds(),
        RECORDED: (times.recorded - answered).total_seconds(),
    }


def report(about: Mapping[str, Any], found: Found) -> str:
    """Return the tables, and where the time goes if the goal is missed."""
    head = (
        f"{about['cores']} cores of {about['processor']}, load {about['load']:.1f} at the start and"
        f" {about['load_at_the_end']:.1f} at the end, {about['bundle']} on {about['runtime']},"
        f" SQLite, quiet time 0, {len(found[WHOLE])} films one at a time"
        f" (commit {about['commit']}, {about['time']}).\n\n"
    )
    limit = median(found[NETWORK])
    goals = {WHOLE: f"<= {1000 * (limit + GOAL_SECONDS):.0f} ms", BEYOND: "<= 250 ms"}
    rows = [
        (what, *_figures(found[what]), goals.get(what, ""))
        for what in (NETWORK, LIMIT, WHOLE, BEYOND, RECORDED)
    ]
    text = head + table(("one film, batch 1", "median", "95 %", "max", "goal"), rows)
    beyond = median(found[WHOLE]) - limit
    met = "reached" if beyond <= GOAL_SECONDS else "missed"
    text += f"\n\nThe goal is {met}: {1000 * beyond:.0f} ms beyond the network (medians)."
    parts = [(what, *_figures(found[what])) for what in STAGES]
    return text + "\n\n" + table(("of it", "median", "95 %", "max"), parts)


def _figures(seconds: Sequence[float]) -> tuple[str, str, str]:
    values = (median(seconds), percentile(seconds, 0.95), max(seconds))
    first, second, third = (f"{1000 * value:.0f} ms" for value in values)
    return first, second, third


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--films", type=Path, required=True, help="folder of .dcm films")
    parser.add_argument("--count", type=int, default=30, help="films sent, one at a time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
