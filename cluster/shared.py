"""Whether a machine of the cluster has the data folder that films and results lie in."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def marked(folder: Path) -> Iterator[Path]:
    """Lay an empty file into the data folder, by which other machines know it; yield its path."""
    mark = folder / f".cluster-{uuid.uuid4().hex}"
    mark.touch(mode=0o600)
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)


def problem_here(mark: Path) -> str | None:
    """Say why work cannot be done on this machine; None where it can."""
    if mark.exists():
        return None
    return (
        f"{socket.gethostname()} has not the data folder {mark.parent} of the others: share it"
        " (NFS, for one) under the same path on every node"
    )
