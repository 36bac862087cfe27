"""What each role of a running service holds in memory.

    python -m bench.memory --films FOLDER --count 200

Proportional set size (PSS): what processes share counts once, shared out among them. Looked at
after a first film has been read and the console has shown a page, after so many films, and for the
listener while 50 associations are open, each of which has sent a film. The record is kept in runs/.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from bench.bare import Bare
from bench.common import find_films, fresh_copies, keep, machine, table
from bench.open_loop import held
from bench.service import AE_TITLE, Service, service
from settings import Settings
from tests.peers import free_port, wait_until
from tests.peers.process import LOOPBACK

MEGABYTE = 1_000_000
HELD = 50
ROLES = {
    "serve": "what starts and watches the others",
    "listen": "listener",
    "work": "worker, with the processes that decode and report",
    "deliver": "delivery",
    "schedule": "scheduler",
    "console": "console",
}
FIRST, AFTER, OPEN = "after the first film", "after all films", f"{HELD} associations open"
Found = Mapping[str, Mapping[str, float]]
"""MB by moment and role."""


def main() -> None:
    """Measure, print the table, keep the record."""
    arguments = _arguments()
    about = machine()
    settings = Settings()
    with Bare(settings) as bare:
        films = bare.eligible(find_films(arguments.films))
        about["runtime"], about["bundle"] = bare.predictor.runtime, bare.predictor.bundle.label
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as name:
        copies = fresh_copies(films, arguments.count + 1, Path(name) / "films")
        found = measure(copies, Path(name), arguments.associations)
    about["load_at_the_end"] = os.getloadavg()[0]
    path = keep("memory", {"machine": about, "count": arguments.count, "megabytes": found})
    print(
        f"{about['cores']} cores of {about['processor']}, load {about['load']:.1f} at the start and"
        f" {about['load_at_the_end']:.1f} at the end, {about['bundle']} on {about['runtime']},"
        f" SQLite, {arguments.count} films over {arguments.associations} associations, PSS"
        f" (commit {about['commit']}, {about['time']}).\n"
    )
    print(report(found))
    print(f"\nKept in {path}")


def measure(films: list[Path], folder: Path, associations: int) -> Found:
    """Run a service in a folder and have it read the films, the first of them alone."""
    port = free_port()
    settings = {
        "HILUM_CONSOLE__ENABLED": "true",
        "HILUM_CONSOLE__HOST": LOOPBACK,
        "HILUM_CONSOLE__PORT": str(port),
        "HILUM_LISTENER__MAX_ASSOCIATIONS_PER_ADDRESS": str(HELD),
    }
    found = {}
    with service(folder, deliver=True, settings=settings) as running:
        wait_until(lambda: _shows_a_page(port), "a page of the console", process=running.process)
        running.send(films[:1], 1)
        running.wait_until_done()
        found[FIRST] = _megabytes(running)
        running.send(films[1:], associations)
        running.wait_until_done()
        found[AFTER] = _megabytes(running)
        with held(running.port, HELD, called=AE_TITLE):
            found[OPEN] = {"listen": _megabytes(running)["listen"]}
    return found


def report(found: Found) -> str:
    """Return the table: a row for each role and for all of them, a column for each moment."""
    rows = [
        [name, *(_figure(moment.get(role)) for moment in found.values())]
        for role, name in ROLES.items()
    ]
    sums = (sum(m.values()) if m.keys() >= ROLES.keys() else None for m in found.values())
    return table(["role", *found], [*rows, ["all", *map(_figure, sums)]])


def _megabytes(running: Service) -> dict[str, float]:
    return {role: size / MEGABYTE for role, size in running.pss().items()}


def _figure(megabytes: float | None) -> str:
    return "" if megabytes is None else f"{megabytes:.0f} MB"


def _shows_a_page(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=10) as answer:
            return bool(answer.read())
    except OSError:
        return False


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--films", type=Path, required=True, help="folder of .dcm films")
    parser.add_argument("--count", type=int, default=200, help="films after the first")
    parser.add_argument("--associations", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    main()
