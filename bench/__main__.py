"""The benchmarks of a service on this machine, one after the other, or one by name.

    python -m bench --films FOLDER            each with few films and rounds
    python -m bench whole_way --films FOLDER --full
    python -m bench --list

Each is a program of its own (`python -m bench.NAME --help`) and keeps its record in runs/.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Program:
    """How a benchmark is started.

    Args:
        says: what it measures.
        quick: arguments by which it takes minutes; without them it takes as long as it needs.
        films: whether it needs a folder of films.
    """

    says: str
    quick: Sequence[str] = ()
    films: bool = False


PROGRAMS = {
    "listener": Program(
        "films taken in, beside DCMTK, Orthanc, pynetdicom and the disk",
        ("--small", "150", "--large", "12", "--nagle", "16", "--rounds", "1"),
    ),
    "rate": Program(
        "how late films are answered at a set rate, beside DCMTK and Orthanc",
        ("--rates", "25", "50", "100", "--seconds", "3", "--rounds", "1"),
    ),
    "decode": Program("decoders beside each other", ("--count", "20", "--rounds", "3"), True),
    "network": Program("the network by TensorFlow and OpenVINO"),
    "whole_way": Program("film to report", ("--count", "60", "--rounds", "1"), True),
    "latency": Program("one film on an idle service, to the PACS", ("--count", "10"), True),
    "memory": Program("what each role holds in memory", ("--count", "60"), True),
    "queue": Program("tasks a second, beside Celery and procrastinate", ("--quick",)),
    "growing": Program("1 to 32 workers on one PostgreSQL", ("--quick",)),
    "history": Program("the console's pages, beside many studies", ("--studies", "10000")),
}
"""Those that belong to `make bench`, in this order."""


def main() -> None:
    """Run what is asked for; exit code 1 where one of them fails."""
    arguments = _arguments()
    if arguments.list:
        for name, program in PROGRAMS.items():
            print(f"{name:12} {program.says}")
        return
    wanted = arguments.names or list(PROGRAMS)
    unknown = [name for name in wanted if name not in PROGRAMS]
    if unknown:
        sys.exit(f"there is no benchmark {unknown[0]}; known are {', '.join(PROGRAMS)}")
    if arguments.films is None and (asking := [each for each in wanted if PROGRAMS[each].films]):
        sys.exit(f"{asking[0]} needs films: name a folder of .dcm films (--films, make: FILMS=)")
    failed = [name for name in wanted if not _run(name, arguments)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _run(name: str, arguments: argparse.Namespace) -> bool:
    command = [sys.executable, "-m", f"bench.{name}", *_options(PROGRAMS[name], arguments)]
    print(f"\n## {name}\n", flush=True)
    return subprocess.run(command, check=False).returncode == 0


def _options(program: Program, arguments: argparse.Namespace) -> list[str]:
    films = ["--films", str(arguments.films)] if program.films else []
    return [*films, *([] if arguments.full else program.quick)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all where none is named")
    parser.add_argument("--films", type=Path, help="folder of .dcm films; those that need one")
    parser.add_argument("--full", action="store_true", help="as long as each needs")
    parser.add_argument("--list", action="store_true", help="tell which there are")
    return parser.parse_args()


if __name__ == "__main__":
    main()
