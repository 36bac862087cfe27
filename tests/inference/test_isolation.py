"""Isolation: a child that crashes, hangs or eats memory costs its own task and nothing else."""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import cv2
import psutil
import pytest

from inference.isolation import ChildFailedError, IsolatedPool

ROOT = Path(__file__).parents[2]
MEMORY_BYTES = 2 << 30
DEADLINE_SECONDS = 30.0


@pytest.fixture
def pool() -> Iterator[IsolatedPool]:
    with IsolatedPool(2, timeout_seconds=2, memory_bytes=MEMORY_BYTES) as pool:
        yield pool


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fails after `DEADLINE_SECONDS`."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def still_works(pool: IsolatedPool) -> bool:
    return [pool.submit(abs, -n).result(DEADLINE_SECONDS) for n in range(8)] == list(range(8))


def test_what_a_task_needs_to_be_imported_does_not_take_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_load.py").write_text("import time\ntime.sleep(3)\nanswer = abs\n")
    (tmp_path / "quick.py").write_text(
        "def answer():\n    import slow_to_load\n    return slow_to_load.answer(-1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    quick = importlib.import_module("quick")
    given = {"timeout_seconds": 1.5, "memory_bytes": MEMORY_BYTES}
    with IsolatedPool(1, **given) as cold, pytest.raises(ChildFailedError, match="timed out"):
        cold.submit(quick.answer).result(DEADLINE_SECONDS)
    with IsolatedPool(1, **given, modules=["slow_to_load"]) as warm:
        assert warm.submit(quick.answer).result(DEADLINE_SECONDS) == 1


def test_results_and_arguments_pass_through(pool: IsolatedPool) -> None:
    futures = [pool.submit(pow, n, 2) for n in range(50)]
    assert [future.result(DEADLINE_SECONDS) for future in futures] == [n * n for n in range(50)]


def _meet(fifo: Path, mode: str) -> int:
    """Wait until another process opens the pipe the other way round."""
    with fifo.open(mode):
        return os.getpid()


def test_two_tasks_run_at_once_in_other_processes(pool: IsolatedPool, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader, writer = pool.submit(_meet, fifo, "r"), pool.submit(_meet, fifo, "w")
    pids = {reader.result(DEADLINE_SECONDS), writer.result(DEADLINE_SECONDS)}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_an_exception_comes_back_as_it_was(pool: IsolatedPool) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        pool.submit(os.stat, "/nowhere").result(DEADLINE_SECONDS)
    assert caught.value.filename == "/nowhere"


class DemandingError(Exception):
    """Cannot be rebuilt from its arguments, as pickle does it."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def _demand() -> None:
    raise DemandingError("film", "too dark")


def test_an_exception_that_cannot_be_rebuilt_still_says_what_it_was(pool: IsolatedPool) -> None:
    with pytest.raises(RuntimeError, match="DemandingError: film: too dark"):
        pool.submit(_demand).result(DEADLINE_SECONDS)


def test_a_result_that_cannot_be_pickled_fails_alone(pool: IsolatedPool) -> None:
    with pytest.raises(Exception, match="pickle"):
        pool.submit(threading.Lock).result(DEADLINE_SECONDS)
    assert still_works(pool)


def test_a_crash_costs_one_task(pool: IsolatedPool) -> None:
    others = [pool.submit(abs, -n) for n in range(10)]
    crash = pool.submit(os.abort)
    later = [pool.submit(abs, -n) for n in range(10, 20)]
    with pytest.raises(ChildFailedError, match=r"signal 6 \(SIGABRT\)"):
        crash.result(DEADLINE_SECONDS)
    assert [future.result(DEADLINE_SECONDS) for future in others + later] == list(range(20))


def test_a_segmentation_fault_is_named(pool: IsolatedPool) -> None:
    with pytest.raises(ChildFailedError, match="SIGSEGV"):
        pool.submit(ctypes.string_at, 0).result(DEADLINE_SECONDS)
    assert still_works(pool)


def test_leaving_the_process_is_a_failure(pool: IsolatedPool) -> None:
    with pytest.raises(ChildFailedError, match="exit code 3"):
        pool.submit(os._exit, 3).result(DEADLINE_SECONDS)
    assert still_works(pool)


def test_asking_for_too_much_memory_costs_one_task(pool: IsolatedPool) -> None:
    with pytest.raises(ChildFailedError, match="out of memory: its limit is 2048 MiB"):
        pool.submit(bytearray, MEMORY_BYTES).result(DEADLINE_SECONDS)
    assert still_works(pool)


def test_a_hang_costs_one_task(pool: IsolatedPool) -> None:
    started = time.monotonic()
    hang = pool.submit(signal.pause)
    assert still_works(pool)
    with pytest.raises(ChildFailedError, match="timed out after 2 s"):
        hang.result(DEADLINE_SECONDS)
    assert time.monotonic() - started < 10
    assert still_works(pool)


def test_all_children_may_fail_at_once(pool: IsolatedPool) -> None:
    crashes: list[Future[None]] = [pool.submit(os.abort) for _ in range(6)]
    for crash in crashes:
        with pytest.raises(ChildFailedError):
            crash.result(DEADLINE_SECONDS)
    assert still_works(pool)


def _pid_when_told(fifo: Path) -> int:
    with fifo.open("r"):
        return os.getpid()


def test_tasks_of_a_key_go_to_one_child_but_wait_for_none_that_is_busy(
    pool: IsolatedPool, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def pid(key: str) -> int:
        eventually(lambda: len(pool._tasks._idle) == 2)
        return pool.submit(os.getpid, key=key).result(DEADLINE_SECONDS)

    meeting = {
        key: pool.submit(_meet, fifo, mode, key=key) for key, mode in (("a", "r"), ("b", "w"))
    }
    took = {key: each.result(DEADLINE_SECONDS) for key, each in meeting.items()}
    assert took["a"] != took["b"]
    assert [pid(key) for key in "ababbbaaab"] == [took[key] for key in "ababbbaaab"]

    eventually(lambda: len(pool._tasks._idle) == 2)
    busy = pool.submit(_pid_when_told, fifo, key="a")
    taken_over = pool.submit(os.getpid, key="a").result(DEADLINE_SECONDS)
    with fifo.open("w"):
        assert busy.result(DEADLINE_SECONDS) == took["a"]
    assert taken_over == took["b"]
    assert pid("a") == taken_over


def children_of_this_process() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _is_isolated(child)]


def _is_isolated(child: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(child.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def test_a_child_killed_while_idle_costs_nothing(pool: IsolatedPool) -> None:
    assert still_works(pool)
    eventually(lambda: len(children_of_this_process()) == 2)
    children = children_of_this_process()
    for child in children:
        child.kill()
    eventually(lambda: all(ended(child.pid) for child in children))
    assert still_works(pool)


def _meet_and_hang(fifo: Path) -> None:
    _meet(fifo, "w")
    signal.pause()


def test_a_child_killed_at_work_costs_its_task(pool: IsolatedPool, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    victim = pool.submit(_meet_and_hang, fifo)
    _meet(fifo, "r")
    children = children_of_this_process()
    for child in children:
        child.kill()
    with pytest.raises(ChildFailedError, match="killed"):
        victim.result(DEADLINE_SECONDS)
    eventually(lambda: all(ended(child.pid) for child in children))
    assert still_works(pool)


def test_a_child_that_cannot_start_says_so() -> None:
    with (
        IsolatedPool(1, timeout_seconds=60, memory_bytes=32 << 20) as pool,
        pytest.raises(ChildFailedError, match="cannot be started: The decoding process ended with"),
    ):
        pool.submit(abs, -1).result(DEADLINE_SECONDS)


def test_a_system_without_room_for_a_child_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", full)
    with (
        IsolatedPool(1, timeout_seconds=60, memory_bytes=MEMORY_BYTES) as pool,
        pytest.raises(ChildFailedError, match="unavailable"),
    ):
        pool.submit(abs, -1).result(DEADLINE_SECONDS)


def test_children_are_confined(pool: IsolatedPool) -> None:
    limits = pool.submit(resource.getrlimit, resource.RLIMIT_AS).result(DEADLINE_SECONDS)
    assert limits == (MEMORY_BYTES, MEMORY_BYTES)
    assert pool.submit(resource.getrlimit, resource.RLIMIT_CORE).result(DEADLINE_SECONDS) == (0, 0)
    assert pool.submit(cv2.getNumThreads).result(DEADLINE_SECONDS) == 1
    handler = pool.submit(signal.getsignal, signal.SIGINT).result(DEADLINE_SECONDS)
    assert handler == signal.SIG_IGN


def _imported() -> list[str]:
    return sorted(sys.modules)


def test_children_do_not_load_tensorflow() -> None:
    with IsolatedPool(1, timeout_seconds=60, memory_bytes=MEMORY_BYTES) as pool:
        pool.submit(_prepare_nothing).result(60)
        modules = pool.submit(_imported).result(60)
    assert not {"tensorflow", "keras", "openvino"} & set(modules)


def _prepare_nothing() -> None:
    import inference.prepare  # noqa: F401


def test_closing_cancels_what_waits_and_fails_what_runs() -> None:
    pool = IsolatedPool(1, timeout_seconds=60, memory_bytes=MEMORY_BYTES)
    running = pool.submit(signal.pause)
    waiting = [pool.submit(abs, -1) for _ in range(3)]
    eventually(running.running)
    pool.close()
    with pytest.raises(ChildFailedError, match="with its pool"):
        running.result(DEADLINE_SECONDS)
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(DEADLINE_SECONDS)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(abs, -1)
    pool.close()


def test_a_closed_pool_leaves_no_process_behind() -> None:
    with IsolatedPool(2, timeout_seconds=60, memory_bytes=MEMORY_BYTES) as pool:
        assert still_works(pool)
        eventually(lambda: len(children_of_this_process()) == 2)
    assert not children_of_this_process()


def test_a_cancelled_task_is_not_run(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with IsolatedPool(1, timeout_seconds=60, memory_bytes=MEMORY_BYTES) as pool:
        busy = pool.submit(_meet, fifo, "r")
        unwanted = pool.submit(os.mkdir, tmp_path / "made")
        assert unwanted.cancel()
        _meet(fifo, "w")
        busy.result(DEADLINE_SECONDS)
        assert still_works(pool)
    assert not (tmp_path / "made").exists()


PARENT = """
import signal
from inference.isolation import IsolatedPool

def main():
    # A shell that starts the tests in the background has them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pool = IsolatedPool(2, timeout_seconds=600, memory_bytes=2 << 30)
    assert pool.submit(abs, -1).result() == 1
    hangs = [pool.submit(signal.pause) for _ in range(2)]
    print("ready", flush=True)
    hangs[0].result()

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "ready\n"
            process = psutil.Process(parent.pid)
            eventually(lambda: len(list(filter(_is_isolated, process.children()))) == 2)
            children = [child.pid for child in process.children() if _is_isolated(child)]
            parent.send_signal(number)
            parent.wait(DEADLINE_SECONDS)
            eventually(lambda: all(map(ended, children)))
        finally:
            parent.kill()
