"""How late films are answered at a set rate: Hilum's listener beside Orthanc and DCMTK.

    python -m bench.rate --rates 50 100 200 400

Films that are made (130 KB, each with UIDs of its own) are due at fixed times and go over the first
of 16 associations that is free. Latency counts from when a film was due to its C-STORE response, so
that a receiver that falls behind is late with every film that waits. Beside them, what answers at
once and keeps nothing: the sender's own limit. Figures are medians of the rounds. The record and a
plot are kept in runs/.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import made_films
from bench.common import keep, machine, median, table
from bench.open_loop import Sent, offer, percentile
from bench.receivers import CALLED, Kind, kinds, sender_alone, version

Figures = dict[str, float]
"""Of one run: `achieved` (films taken a second), `p50`, `p95`, `p99` and `max` in milliseconds,
infinite where that film was never answered, and `failed` (films without Success)."""
Found = dict[str, dict[float, list[Figures]]]
"""By receiver and offered rate: the figures of each round."""
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
WARM_UP_RATE, WARM_UP_FILMS = 20.0, 20


def main() -> None:
    """Measure, print a table, keep the record and the plot."""
    arguments = _arguments()
    about = machine()
    about["receivers"] = {name: version(name) for name in ("storescp", "Orthanc")}
    about["load_by_round"] = []
    # DCMTK and what is built on it wait by Nagle's algorithm unless this is set.
    os.environ["TCP_NODELAY"] = "1"
    receivers = [*kinds(arguments.processes), sender_alone()]
    receivers = [kind for kind in receivers if any(text in kind.name for text in arguments.only)]
    film = made_films.small()
    found: Found = {kind.name: {rate: [] for rate in arguments.rates} for kind in receivers}
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as place:
        for number in range(arguments.rounds):
            about["load_by_round"].append(os.getloadavg()[0])
            for kind in receivers:
                for rate, figures in _round(kind, film, Path(place) / "receiver", arguments):
                    found[kind.name][rate].append(figures)
                    print(
                        f"round {number + 1}: {kind.name}, {rate:g}: {_line(figures)}", flush=True
                    )
    middle = _medians(found)
    record = {"machine": about, "seconds": arguments.seconds, "rounds": found, "medians": middle}
    path = keep("rate", _finite(record))
    picture = path.with_suffix(".png")
    _draw(middle, arguments.rates, picture)
    print(_report(about, arguments, middle))
    print(f"\nKept in {path}, the plot beside it.")


def _round(
    kind: Kind, film: made_films.Kind, folder: Path, arguments: argparse.Namespace
) -> list[tuple[float, Figures]]:
    """Start a receiver and offer it each rate in turn."""
    associations = arguments.associations if kind.side_by_side else 1
    runs = []
    folder.mkdir()
    with kind.start(folder) as receiver:
        for rate, films in [
            (WARM_UP_RATE, WARM_UP_FILMS),
            *((rate, max(2, round(rate * arguments.seconds))) for rate in arguments.rates),
        ]:
            os.sync()  # what the last run left to be written must not cost this one
            sent = offer(
                receiver.port, film, called=CALLED, rate=rate, films=films,
                associations=associations, give_up_seconds=arguments.give_up,
            )  # fmt: skip
            runs.append((rate, figures_of(sent)))
    shutil.rmtree(folder)
    return runs[1:]


def figures_of(sent: Sequence[Sent]) -> Figures:
    """Sum up a run; a film that was not answered is infinitely late."""
    latencies = [film.latency for film in sent]
    taken = [film.answered for film in sent if film.status == 0]
    return {
        "achieved": len(taken) / max(taken) if taken else 0.0,
        **{name: 1000 * percentile(latencies, share) for name, share in SHARES.items()},
        "failed": sum(film.status != 0 for film in sent),
        "films": len(sent),
    }


def _medians(found: Found) -> dict[str, dict[float, Figures]]:
    return {
        name: {
            rate: {key: median(each[key] for each in rounds) for key in rounds[0]}
            for rate, rounds in rates.items()
        }
        for name, rates in found.items()
    }


def _draw(middle: dict[str, dict[float, Figures]], rates: Sequence[float], path: Path) -> None:
    from bench.rate_plot import draw
    from training.results.plots import png

    path.write_bytes(png(draw(_finite(middle), rates)))


def _finite(value: Any) -> Any:
    """Return it with None for every infinite figure, as JSON and the plot need it."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _line(figures: Figures) -> str:
    return ", ".join(f"{key} {value:.1f}" for key, value in figures.items())


def _report(
    about: dict[str, Any],
    arguments: argparse.Namespace,
    middle: dict[str, dict[float, Figures]],
) -> str:
    loads = ", ".join(f"{load:.1f}" for load in about["load_by_round"])
    head = (
        f"{about['cores']} cores of {about['processor']}, load {loads} as the rounds began;"
        f" {', '.join(about['receivers'].values())}; films of 130 KB over"
        f" {arguments.associations} associations (DCMTK without --fork: one),"
        f" {arguments.seconds:g} s at each rate, medians of {arguments.rounds} rounds"
        f" (commit {about['commit']}, {about['time']}).\n\n"
    )
    rows = [
        [
            name, f"{rate:g}", f"{each['achieved']:.0f}",
            *(_milliseconds(each[key]) for key in SHARES), f"{each['failed']:.0f}",
        ]
        for name, rates in middle.items()
        for rate, each in rates.items()
    ]  # fmt: skip
    header = ["receiver", "films offered a second", "taken", *SHARES, "not Success"]
    return head + table(header, rows)


def _milliseconds(value: float) -> str:
    if math.isinf(value):
        return "never"
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.rate", description=__doc__)
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[25, 50, 100, 200, 300, 400, 600],
        help="films offered a second",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=8, help="at each rate")
    parser.add_argument("--associations", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--give-up", type=float, default=8,
        help="seconds after the last film was due, after which none is begun",
    )  # fmt: skip
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="of Hilum")
    parser.add_argument(
        "--only", nargs="+", default=["Hilum", "Orthanc", "DCMTK", "sender"],
        help="receivers whose name holds one of these texts",
    )  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    main()
