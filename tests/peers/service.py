"""Hilum's own commands as processes, configured by `HILUM_*` variables alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.peers.process import ROOT, ChildProcess, running

_log_numbers = itertools.count(1)


def hilum_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without its `HILUM_*` variables, with those of `env`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HILUM_")}
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **env}


@contextlib.contextmanager
def hilum_process(
    args: Sequence[str | Path], env: Mapping[str, str], *, folder: Path
) -> Iterator[ChildProcess]:
    """Run `hilum ARGS…` until the end of the block, then stop it by SIGTERM and expect status 0.

    `env` holds the settings as `HILUM_*` variables; `folder` is the working folder and takes the
    log.
    """
    log = folder / f"hilum-{args[0]}-{next(_log_numbers)}.log"
    command = [sys.executable, "-m", "hilum", *args]
    with running(ChildProcess(command, log=log, env=hilum_environment(env), cwd=folder)) as process:
        yield process


def run_hilum(
    args: Sequence[str | Path],
    env: Mapping[str, str] | None = None,
    *,
    folder: Path,
    seconds: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run a `hilum` command that ends by itself; whatever its exit status, it is returned."""
    return subprocess.run(
        [sys.executable, "-m", "hilum", *args],
        env=hilum_environment(env or {}),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
