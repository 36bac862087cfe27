"""Work over many films in several processes, a bounded number of pieces at a time."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

from training.kaggle.csvs import FolderError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Piece], Result], pieces: Iterable[Piece], processes: int = 0
) -> Iterator[Result]:
    """Yield the function's results as they come, in no order; 0 processes: one per core.

    At most two pieces a process are under way, so memory does not grow with their number. An
    exception of the function is raised here; pieces that have not begun are then dropped.

    Raises:
        FolderError: a process was ended from outside, most likely for want of memory.
    """
    count = processes or len(os.sched_getaffinity(0))
    todo = iter(pieces)
    # Spawned, not forked: the parent may have threads of TensorFlow.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            pending: set[Future[Result]] = {
                pool.submit(function, piece) for piece in islice(todo, 2 * count)
            }
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    pending.update(pool.submit(function, each) for each in islice(todo, 1))
        except BrokenProcessPool:
            raise FolderError(
                "a process that read films was ended, most likely for want of memory: run this"
                " again with fewer processes; what is done is kept"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when its parent is killed, which tells it nothing otherwise."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_await_end, args=(parent.sentinel,), daemon=True).start()


def _await_end(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
