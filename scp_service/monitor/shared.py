"""The folder in which the roles of `hilum serve` share what they count."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

_PREFIX = "hilum-metrics-"
_MEMORY = Path("/dev/shm")


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Make the folder, and remove it at the end.

    It lies in memory where the system has a place for that (Linux's /dev/shm), never in the data
    folder: the values are mapped files, and a full disk ends whoever writes to one.
    """
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    _remove_abandoned(place)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def forget(folder: Path, role: str) -> None:
    """Take back what a role that ended said of the present, such as that it runs."""
    mark_process_dead(role, str(folder))  # type: ignore[no-untyped-call]


def _remove_abandoned(place: Path) -> None:
    """Remove the folders of processes that were killed."""
    for folder in place.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
