"""How long the console's pages take, with many studies in the database.

    python -m bench.history --studies 1000000 --kind both

fills an SQLite file and a PostgreSQL database below `--folder` with the same rows, sums them up as
the scheduler does, and opens each page `--times` times, each time with other values, from the
request to the whole answer: login, queries, template and audit trail. What is there already is not
made again. The record is kept in runs/.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from bench.common import keep, machine, median, table
from bench.history.load import load
from bench.history.made import studies
from bench.history.opened import opened
from bench.history.questions import questions
from db import migrations
from db.models import Study
from db.session import Database
from db.sums import keep as sums
from tests import peers

KINDS = ("sqlite", "postgres")


def main() -> None:
    """Fill, measure, print a table, keep the record."""
    arguments = _arguments()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    kinds = KINDS if arguments.kind == "both" else (arguments.kind,)
    end = datetime.fromisoformat(arguments.end).replace(tzinfo=UTC)
    found: dict[str, dict[str, list[float]]] = {}
    made: dict[str, dict[str, float]] = {}
    for kind in kinds:
        with _database(kind, arguments.folder, arguments.studies, end) as database:
            made[kind] = _fill(database, arguments.studies, end)
            wanted = [each for each in questions() if arguments.only in each.name]
            found[kind] = opened(database, wanted, arguments.studies, arguments.times)
    about = machine()
    path = keep(
        "history",
        {"machine": about, "studies": arguments.studies, "made": made, "milliseconds": found},
    )
    print(f"\n{about['processor']}, {about['cores']} cores, {arguments.studies} studies")
    print(_report(kinds, found))
    print(f"\nKept in {path}")


def _fill(database: Database, count: int, end: datetime) -> dict[str, float]:
    """Fill a database that is empty, and sum it up; return the seconds that it took."""
    with database.read() as session:
        there = session.scalar(select(func.count()).select_from(Study)) or 0
    if there not in (0, count):
        raise SystemExit(f"The database holds {there} studies; name another folder.")
    begin = time.perf_counter()
    if not there:
        load(database, studies(count, end=end))
    filled = time.perf_counter()
    while sums.advance(database):
        pass
    summed = time.perf_counter()
    print(f"filled in {filled - begin:.0f} s, summed up in {summed - filled:.0f} s", flush=True)
    return {"fill_seconds": filled - begin, "sum_seconds": summed - filled}


@contextmanager
def _database(kind: str, folder: Path, count: int, end: datetime) -> Iterator[Database]:
    """Open the database of a kind below a folder; its clock stands where the history ends."""

    def clock() -> datetime:
        return end

    if kind == "sqlite":
        with closing(Database(f"sqlite:///{folder / f'{count}.sqlite'}", clock=clock)) as database:
            migrations.upgrade(database, folder)
            yield database
        return
    with closing(peers.Postgres(folder / "postgres")) as server:
        url = server.database_or_existing(f"history_{count}")
        with closing(Database(url, clock=clock)) as database:
            migrations.upgrade(database, folder)
            yield database


def _report(kinds: tuple[str, ...], found: dict[str, dict[str, list[float]]]) -> str:
    rows = [
        [name]
        + [f"{median(found[kind][name]):.0f} ms, {max(found[kind][name]):.0f} ms" for kind in kinds]
        for name in found[kinds[0]]
    ]
    return table(["page", *(f"{kind}: median, worst" for kind in kinds)], rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--studies", type=int, default=50_000)
    parser.add_argument("--kind", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--folder", type=Path, default=Path("runs/history"))
    parser.add_argument("--end", default="2026-11-29T12:34:00", help="when the history ends (UTC)")
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--only", default="", help="a part of the names of pages")
    return parser.parse_args()


if __name__ == "__main__":
    main()
