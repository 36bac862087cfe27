"""Work in child processes that may crash, hang or run out of memory without harm to anyone else.

Each child has a pipe of its own and one task at a time, so a child that dies at any moment costs
the task it holds and nothing more.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import logging
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

_START_SECONDS = 120.0
"""Longest that a child may take to start, on a busy machine with a cold disk."""

_MOST_KEYS = 1024
"""Keys of tasks that are remembered."""

_reaping = threading.Lock()
"""Held by whoever starts a child or takes its exit code: multiprocessing looks after the children
of all threads whenever one is started, and a code can be taken only once."""


class ChildFailedError(Exception):
    """The child process that ran a task ended, or was ended; says in one sentence why."""


class IsolatedPool:
    """Runs importable functions with picklable arguments in `processes` child processes.

    A task that takes longer than `timeout_seconds`, makes its child crash, or asks for more than
    `memory_bytes` of address space raises ChildFailedError from its future; the child is replaced,
    and other tasks go on. What a function raises itself comes back as it is. The children end with
    this process, however it ends (on Linux after a SIGKILL too, even in the middle of a task).

    `modules` are imported by a child before its first task, whose time they would take: on a busy
    machine a good film that follows one that cost a child would else run out of time too.
    """

    def __init__(
        self,
        processes: int,
        *,
        timeout_seconds: float,
        memory_bytes: int,
        modules: Sequence[str] = (),
    ) -> None:
        self._tasks = _Tasks()
        self._children = [_Child(timeout_seconds, memory_bytes, modules) for _ in range(processes)]
        # A child ends when the thread that started it ends (PR_SET_PDEATHSIG), so each has one
        # that lives as long as the pool.
        self._threads = [
            threading.Thread(target=self._serve, args=each, name="isolated", daemon=True)
            for each in enumerate(self._children)
        ]
        for thread in self._threads:
            thread.start()
        # Runs before multiprocessing's own end, which terminates the children that it finds and
        # then waits for all: one that replaces a terminated child would never end.
        atexit.register(self._end_children)

    def submit(self, function: Callable[..., T], *args: Any, key: str | None = None) -> Future[T]:
        """Queue `function(*args)`; its result, or what it raised, will be in the future.

        A task goes to the child that took the last one of the same `key`, which may remember what
        it needs; while that one is busy, a child that has nothing else to do takes it.
        """
        call = pickle.dumps((function, args), pickle.HIGHEST_PROTOCOL)
        task = _Task(Future[T](), call, key)
        self._tasks.put(task)
        return task.future

    def close(self) -> None:
        """End all children at once; queued tasks are cancelled, running ones fail."""
        for task in self._tasks.close():
            task.future.cancel()
            task.future.set_running_or_notify_cancel()
        self._end_children()
        atexit.unregister(self._end_children)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _end_children(self) -> None:
        for child in self._children:
            child.end()

    def _serve(self, number: int, child: _Child) -> None:
        with suppress(OSError):  # tried again, and told, with the first task
            child.start()
        while (task := self._tasks.take(number)) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            try:
                result = child.run(task.call)
            except BaseException as error:
                task.future.set_exception(error)
            else:
                task.future.set_result(result)
            del task  # its result is not kept alive until the next one
            with suppress(OSError):
                child.start()
        child.stop()


class _Task(Generic[T]):
    """A pickled call, the future that waits for it, and its key."""

    def __init__(self, future: Future[T], call: bytes, key: str | None) -> None:
        self.future = future
        self.call = call
        self.key = key


class _Tasks:
    """Tasks that wait, in order, and which child took the last one of each key."""

    def __init__(self) -> None:
        self._waiting: deque[_Task[Any]] = deque()
        self._took: OrderedDict[str, int] = OrderedDict()
        self._idle: set[int] = set()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, task: _Task[Any]) -> None:
        """Add a task, unless closed."""
        with self._changed:
            if self._closed:
                raise RuntimeError("The pool of child processes is closed.")
            self._waiting.append(task)
            self._changed.notify_all()

    def take(self, child: int) -> _Task[Any] | None:
        """Wait for a task and take it: the first of one's own, else of a child that is busy.

        None once closed.
        """
        with self._changed:
            self._idle.add(child)
            while (task := self._next(child)) is None and not self._closed:
                self._changed.wait()
            self._idle.discard(child)
            if task is None:
                return None
            self._waiting.remove(task)
            if task.key is not None:
                self._took[task.key] = child
                self._took.move_to_end(task.key)
                if len(self._took) > _MOST_KEYS:
                    self._took.popitem(last=False)
            self._changed.notify_all()  # what waits for this child is free to others now
            return task

    def close(self) -> list[_Task[Any]]:
        """Let nobody wait any longer; return the tasks that nobody took."""
        with self._changed:
            self._closed = True
            left, self._waiting = list(self._waiting), deque()
            self._changed.notify_all()
            return left

    def _next(self, child: int) -> _Task[Any] | None:
        free: _Task[Any] | None = None
        for task in self._waiting:
            owner = child if task.key is None else self._took.get(task.key, child)
            if owner == child:
                return task
            if free is None and owner not in self._idle:
                free = task
        return free


class _Child:
    """One child process, replaced when it has failed. All but `end` belong to one thread."""

    def __init__(self, timeout_seconds: float, memory_bytes: int, modules: Sequence[str]) -> None:
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._modules = tuple(modules)
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._ready = False
        self._ended = False
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the process if there is none (any more), unless `end` was called.

        Raises OSError if the system has no room for it.
        """
        with self._starting:
            if self._ended or self._process is not None:
                return
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            with theirs:
                process = context.Process(
                    target=_serve_tasks,
                    args=(theirs, self._memory_bytes, self._modules, os.getpid()),
                    daemon=True,
                )
                try:
                    with _reaping:
                        process.start()
                except OSError:
                    ours.close()
                    raise
            self._process, self._pipe = process, ours

    def run(self, call: bytes) -> object:
        """Send a call and wait for its answer; raises what it raised, or ChildFailedError."""
        pipe = self._send(call)
        try:
            if not pipe.poll(self._timeout_seconds):
                self.stop()
                raise ChildFailedError(
                    f"The decoding process timed out after {self._timeout_seconds:g} s."
                )
            answer = pipe.recv_bytes()
        except (EOFError, OSError):
            raise ChildFailedError(self._cause_of_death()) from None
        succeeded, value = pickle.loads(answer)
        if succeeded:
            result: object = value
            return result
        if isinstance(value, MemoryError):
            self.stop()  # what it may have lost on the way is better given back
            mebibytes = self._memory_bytes // 2**20
            raise ChildFailedError(
                f"The decoding process ran out of memory: its limit is {mebibytes} MiB."
            )
        raise value

    def stop(self) -> None:
        """End the process, if there is one, and forget it."""
        with self._starting:  # `end` must not find one that is closed already
            process, pipe = self._process, self._pipe
            self._process = self._pipe = None
            self._ready = False
        if process is None or pipe is None:
            return
        process.kill()
        wait([process.sentinel])
        with _reaping:
            process.join()
            process.close()
        pipe.close()

    def end(self) -> None:
        """Kill the process and start no other; what `run` waits for then fails."""
        with self._starting:
            self._ended = True
            if self._process is not None:
                self._process.kill()

    def _send(self, call: bytes) -> Connection:
        """Hand the call to a living process: one that died before is replaced, no task blamed."""
        cause = ""
        for _ in range(3):
            try:
                self.start()
                if self._pipe is not None and self._is_ready(self._pipe):
                    self._pipe.send_bytes(call)
                    return self._pipe
                cause = self._cause_of_death()
            except (EOFError, OSError) as error:
                cause = str(error) if self._process is None else self._cause_of_death()
            if self._ended:
                raise ChildFailedError(cause)
        raise ChildFailedError(f"The decoding process cannot be started: {cause}")

    def _is_ready(self, pipe: Connection) -> bool:
        """Wait for a new process to say that it has set its limits."""
        if not self._ready and pipe.poll(_START_SECONDS):
            pipe.recv_bytes()
            self._ready = True
        return self._ready

    def _cause_of_death(self) -> str:
        process = self._process
        if process is None or self._ended:
            self.stop()
            return "The decoding process was ended with its pool."
        wait([process.sentinel], 5)  # its pipe is closed a moment before it is gone
        with _reaping:
            process.join(1)
            code = process.exitcode
        self.stop()
        if code is None:
            return "The decoding process does not answer."
        if code >= 0:
            return f"The decoding process ended with exit code {code}."
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL:
            return f"The decoding process was killed ({name}), perhaps for want of memory."
        return f"The decoder crashed with signal {-code} ({name})."


def _serve_tasks(
    pipe: Connection, memory_bytes: int, modules: Sequence[str], parent_pid: int
) -> None:
    """What a child does: answer calls until its parent hangs up."""
    _confine(memory_bytes, parent_pid)
    for module in modules:
        with suppress(Exception):  # what cannot be loaded is told by the first task that needs it
            importlib.import_module(module)
    pipe.send_bytes(b"ready")
    with suppress(EOFError):
        pipe.send_bytes(_answer(pipe.recv_bytes()))
        # What the first call loaded stays: the garbage collector need not look through it again.
        gc.freeze()
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _answer(call: bytes) -> bytes:
    """Make a call; its pickled (True, result) or (False, exception)."""
    try:
        function, args = pickle.loads(call)
        return pickle.dumps((True, function(*args)), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        return _pickled_error(error)


def _pickled_error(error: BaseException) -> bytes:
    try:
        answer = pickle.dumps((False, error))
        pickle.loads(answer)
    except Exception:  # some exceptions cannot be rebuilt from their arguments
        answer = pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return answer


def _confine(memory_bytes: int, parent_pid: int) -> None:
    """Set this process's limits: memory, threads, signals, and its parent's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
        ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the line above
        os._exit(1)
    # What libraries say of a film may hold names, and this process's errors go to its parent's log.
    logging.disable()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    import cv2  # after the variables that it reads

    cv2.setNumThreads(1)
