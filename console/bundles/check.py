"""A network is loaded in a process of its own: memory is given back, and a crash harms nobody."""

from __future__ import annotations

from pathlib import Path

from console.services.errors import RefusedError
from inference.bundle import BundleError
from inference.isolation import ChildFailedError, IsolatedPool
from inference.worker import choosing
from settings import Worker

_LONGEST_SECONDS = 180.0
_MEMORY_BYTES = 64 * 2**30
"""Of address space, of which runtimes reserve much that they never use."""


def runtime_of(path: Path, worker: Worker) -> str:
    """Verify the bundle in a folder, its network too; return what that ran on.

    Raises:
        RefusedError: it is not whole, cannot be loaded, or does not give its golden output.
    """
    with IsolatedPool(1, timeout_seconds=_LONGEST_SECONDS, memory_bytes=_MEMORY_BYTES) as pool:
        try:
            return pool.submit(choosing.runtime_of, path, worker).result()
        except BundleError as error:
            raise RefusedError(str(error)) from None
        except ChildFailedError as error:
            raise RefusedError(f"The network could not be loaded: {error}.") from None
