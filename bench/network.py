"""The network's own time and memory, under TensorFlow and OpenVINO, beside the plain backbone.

    python -m bench.network --bundle inference/default_bundle

For each runtime a child process loads one network, reads films in calls of 1, 4 and 16, and tells
the median time of a film and its resident memory. The plain backbone is the one the network stands
on, with the same input and nothing behind it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.common import ROOT, keep, machine, median, table
from inference.bundle import load_bundle
from inference.calibration import softmax
from inference.predict import LOADERS

BATCHES = (1, 4, 16)
MEGABYTE = 1_000_000
RUNTIMES = ("tensorflow", "openvino")


def main() -> None:
    """Measure, print the table, keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bundle", type=Path, help="the bundle's folder; default: the packaged")
    parser.add_argument("--films", type=int, default=32, help="films a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts")
    parser.add_argument("--threads", type=int, default=0, help="threads; 0: one for each core")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        runtime, network, size = arguments.measure
        print(json.dumps(_measure(runtime, Path(network), int(size), arguments)))
        return
    bundle = load_bundle(arguments.bundle)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as folder:
        plain = Path(folder) / "backbone"
        _export_backbone(plain, bundle.input_size)
        for name, network in (("network", bundle.network_path), ("backbone", plain)):
            for runtime in RUNTIMES:
                found[name, runtime] = _in_child(
                    [runtime, str(network), str(bundle.input_size)], arguments
                )
    about = machine()
    path = keep(
        "network",
        {
            "machine": about,
            "bundle": bundle.label,
            "measured": {" ".join(key): value for key, value in found.items()},
        },
    )
    print(
        f"{bundle.label}, {bundle.input_size} pixels, float32, {about['cores']} cores of"
        f" {about['processor']} (commit {about['commit']}, {about['time']}).\n"
    )
    print(table(("films a call", *(f"{n}, {r}" for n, r in found), "TF / OpenVINO"), _rows(found)))
    far = _difference(found["network", "tensorflow"], found["network", "openvino"])
    print(f"\nGreatest difference of a probability between the runtimes: {far:.1e}")
    print(f"Kept in {path}")


def _rows(found: dict[tuple[str, str], dict[str, Any]]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for batch in map(str, BATCHES):
        times = [each["seconds"][batch] for each in found.values()]
        ratio = times[0] / times[1]
        rows.append((batch, *(f"{1000 * t:.1f} ms a film" for t in times), f"{ratio:.2f}"))
    memory = [each["resident"] / MEGABYTE for each in found.values()]
    rows.append(("memory", *(f"{m:.0f} MB" for m in memory), f"{memory[0] / memory[1]:.2f}"))
    return rows


def _export_backbone(folder: Path, size: int) -> None:
    """Write the backbone of the small network, with random weights, as a SavedModel."""
    code = (
        "import sys; from pathlib import Path;"
        "from training.export import save_network; from training.networks import build;"
        "save_network(build(int(sys.argv[2]), None, seed=0).stem, Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(folder), str(size)], cwd=ROOT, check=True)


def _in_child(what: Sequence[str], arguments: argparse.Namespace) -> dict[str, Any]:
    options = [f"--{name}={getattr(arguments, name)}" for name in ("films", "rounds", "threads")]
    command = [sys.executable, "-m", "bench.network", "--measure", *what, *options]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure(
    runtime: str, network: Path, size: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Load a network and time it: seconds a film by batch, resident bytes, logits if it has any."""
    threads = arguments.threads or len(psutil.Process().cpu_affinity())
    run = LOADERS[runtime](network, threads)
    shape = (arguments.films, size, size, 1)
    films = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    seconds = {}
    for batch in BATCHES:
        run(films[:batch])
        rounds = []
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            for start in range(0, len(films), batch):
                run(films[start : start + batch])
            rounds.append((time.perf_counter() - began) / len(films))
        seconds[str(batch)] = median(rounds)
    logits = run(films).get("logits")
    return {
        "seconds": seconds,
        "resident": psutil.Process().memory_info().rss,
        "logits": None if logits is None else logits.tolist(),
    }


def _difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    first, second = (softmax(np.array(each["logits"], np.float32)) for each in (one, other))
    return float(np.abs(first - second).max())


if __name__ == "__main__":
    main()
