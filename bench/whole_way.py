"""The whole service beside what decoding and the network alone reach on the same cores.

    python -m bench.whole_way --films FOLDER --count 200

Each round measures the limit, the service without and with a destination, one film on the idle
service, and the limit again (its mean counts). Figures are medians of the rounds. The record is
kept in runs/.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.bare import Bare
from bench.common import find_films, fresh_copies, keep, machine, median, table
from bench.service import Service, service
from settings import Settings

MEGABYTE = 1_000_000
SHORT = ("bare", "bare_drift", "reported", "delivered")


def main() -> None:
    """Measure, print a table, keep the record."""
    arguments = _arguments()
    films = find_films(arguments.films)
    about = machine()
    rounds = []
    with Bare(Settings()) as bare, tempfile.TemporaryDirectory(prefix="hilum-bench-") as name:
        about["runtime"], about["bundle"] = bare.predictor.runtime, bare.predictor.bundle.label
        films = bare.eligible(films)
        print(f"{len(films)} films that are read; {arguments.count} a run", flush=True)
        bare.rate(films[: arguments.warm_up])
        for number in range(arguments.rounds):
            folder = Path(name) / str(number)
            rounds.append(_round(bare, films, arguments, folder))
            print(f"round {number + 1} of {arguments.rounds}: {_short(rounds[-1])}", flush=True)
    medians = {key: median(each[key] for each in rounds) for key in rounds[0]}
    record = {"machine": about, "count": arguments.count, "medians": medians, "rounds": rounds}
    path = keep("whole_way", record)
    print(_report(about, arguments, medians))
    print(f"\nKept in {path}")


def _round(
    bare: Bare, films: list[Path], arguments: argparse.Namespace, folder: Path
) -> dict[str, float]:
    found: dict[str, float] = {}
    copies = fresh_copies(films, arguments.count, folder / "bare")
    cpu = bare.cpu_seconds()
    first = bare.rate(copies)
    found["cpu_ms_bare"] = 1000 * (bare.cpu_seconds() - cpu) / len(copies)
    found["bare_one"] = median(bare.one_film(film) for film in copies[: arguments.singles])
    for name, deliver in (("reported", False), ("delivered", True)):
        place = folder / name
        warm = fresh_copies(films, arguments.warm_up, place / "warm")
        copies = fresh_copies(films, arguments.count, place / "films")
        singles = fresh_copies(films, arguments.singles, place / "singles")
        with service(place, deliver=deliver) as running:
            running.send(warm, arguments.associations)
            running.wait_until_done()
            found |= _load(running, copies, arguments.associations, name)
            if deliver:
                found |= _latencies(running, singles)
                found |= _resources(running)
            found[f"start_{name}"] = running.start_seconds
    second = bare.rate(copies)
    found["bare"], found["bare_drift"] = (first + second) / 2, second / first
    found["ratio_reported"] = found["reported"] / found["bare"]
    found["ratio_delivered"] = found["delivered"] / found["bare"]
    return found


def _load(running: Service, films: list[Path], associations: int, name: str) -> dict[str, float]:
    before = running.cpu_seconds()
    begin = datetime.now(UTC)
    sending = running.send(films, associations)
    seconds = (running.wait_until_done() - begin).total_seconds()
    after = running.cpu_seconds()
    cpu = {
        f"cpu_ms_{role}_{name}": 1000 * (used - before[role]) / len(films)
        for role, used in after.items()
    }
    return {name: len(films) / seconds, f"intake_{name}": len(films) / sending, **cpu}


def _latencies(running: Service, films: list[Path]) -> dict[str, float]:
    reported, delivered = [], []
    for film in films:
        running.send([film], 1)
        running.wait_until_done()
        to_report, to_delivery = running.latency()
        assert to_delivery is not None
        reported.append(to_report)
        delivered.append(to_delivery)
    return {"latency_reported": median(reported), "latency_delivered": median(delivered)}


def _resources(running: Service) -> dict[str, float]:
    memory = running.memory()
    found = {f"memory_{role}": sum(sizes) / MEGABYTE for role, sizes in memory.items()}
    return {**found, "memory_work_alone": memory["work"][0] / MEGABYTE}


def _short(found: dict[str, float]) -> str:
    return ", ".join(f"{key} {found[key]:.2f}" for key in SHORT)


def _report(about: dict[str, Any], arguments: argparse.Namespace, found: dict[str, float]) -> str:
    rows = [
        ("decode + network alone", f"{found['bare']:.1f} films/s", "the limit"),
        _rate("whole way, to the report", found, "reported"),
        _rate("whole way, to the PACS's answer", found, "delivered"),
        ("C-STORE while it reads", f"{found['intake_delivered']:.0f} films/s", ""),
        ("start to first C-ECHO", f"{found['start_delivered']:.1f} s", "<= 15 s"),
        ("decode + network, one film", f"{1000 * found['bare_one']:.0f} ms", "the limit"),
        _latency("one film, receipt to report", found, "latency_reported"),
        _latency("one film, receipt to the PACS's answer", found, "latency_delivered"),
        ("memory, listener", f"{found['memory_listen']:.0f} MB", "< 150 MB"),
        ("memory, worker with its children", f"{found['memory_work']:.0f} MB", "< 2000 MB"),
        ("memory, worker without them", f"{found['memory_work_alone']:.0f} MB", ""),
    ]
    rows.append(("CPU, decode + network alone", f"{found['cpu_ms_bare']:.0f} ms a film", ""))
    for role in ("listen", "work", "deliver", "schedule"):
        key = f"cpu_ms_{role}_delivered"
        rows.append((f"CPU, {role}", f"{found[key]:.0f} ms a film", ""))
    head = (
        f"{about['cores']} cores of {about['processor']}, {about['bundle']} on {about['runtime']},"
        f" SQLite, quiet time 0, {arguments.count} films a run over {arguments.associations}"
        f" associations, medians of {arguments.rounds} rounds after a warm-up"
        f" (commit {about['commit']}, {about['time']}).\n\n"
    )
    return head + table(("what", "measured", "goal"), rows)


def _rate(what: str, found: dict[str, float], key: str) -> tuple[str, str, str]:
    return (
        what,
        f"{found[key]:.1f} films/s, {100 * found[f'ratio_{key}']:.0f} %",
        ">= 70 % of the limit",
    )


def _latency(what: str, found: dict[str, float], key: str) -> tuple[str, str, str]:
    return what, f"{1000 * found[key]:.0f} ms", "<= the limit + 1 s"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.whole_way", description=__doc__)
    parser.add_argument("--films", type=Path, required=True, help="folder of .dcm films")
    parser.add_argument("--count", type=int, default=200, help="films a run")
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=24, help="films before each run")
    parser.add_argument("--singles", type=int, default=5, help="films sent to an idle service")
    return parser.parse_args()


if __name__ == "__main__":
    main()
