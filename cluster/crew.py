"""The workers on a cluster: hired where there is room, replaced when lost, as many as needed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from cluster.remote import Place, RemoteWorker
from cluster.scaling import Scaling
from cluster.travelling import Travelling
from db.session import Database
from db.standing import oldest_work
from settings.cluster import Ray

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_NO_ROOM_SECONDS = 30.0
_LEAVE_SECONDS = 30.0
"""Longest that a worker may take to give back what it has; its supervisor allows 20."""
_LONGEST_WAIT_SECONDS = 30.0


@dataclass(slots=True)
class _Member:
    """A worker on the cluster: its actor, and the answer that is waited for."""

    number: int
    actor: Any
    waits_for: Any
    hired: float
    place: Place | None = None
    told_no_room: bool = False


class Crew:
    """Keeps workers on a cluster until told to stop.

    Args:
        ray: Ray's module, connected.
        rule: what a worker takes of its machine, and how many there are.
        database: where the queue is.
        travelling: the workers' configuration.
        mark: a file by which a machine with the data folder is known.
    """

    def __init__(
        self, ray: Any, rule: Ray, database: Database, travelling: Travelling, mark: Path
    ) -> None:
        self._ray = ray
        self._rule = rule
        self._database = database
        self._hire = _hiring(ray, rule, travelling, mark)
        self._members: list[_Member] = []
        self._leaving: list[_Member] = []
        self._hired = 0
        self._failures = 0
        self._not_before = 0.0

    def run(self, stop: threading.Event) -> None:
        """Look after the workers until `stop` is set, then have them give back what they have."""
        scaling = Scaling(self._rule, time.monotonic())
        wanted = self._rule.min_workers
        try:
            while not stop.is_set():
                for member in list(self._members):
                    self._look_after(member)
                self._leaving = [each for each in self._leaving if not self._is_gone(each)]
                self._fit(wanted)
                stop.wait(_LOOK_SECONDS)
                wanted = scaling.wanted(wanted, self._age(), time.monotonic())
        finally:
            self._end_all()

    def _age(self) -> float:
        """Return how long the oldest work has waited, in seconds; 0 where none waits."""
        try:
            with self._database.read() as session:
                since = oldest_work(session)
                if since is None:
                    return 0.0
                return (self._database.now(session) - since).total_seconds()
        except SQLAlchemyError as error:
            _log.error("How much waits is not known: the database (%s).", type(error).__name__)
            return 0.0

    def _fit(self, wanted: int) -> None:
        """Hire who is missing, and have the newest leave where there are too many."""
        while len(self._members) > wanted:
            leaving = self._members.pop()
            self._leave(leaving)
        while len(self._members) < wanted and time.monotonic() >= self._not_before:
            self._hired += 1
            actor = self._hire()
            member = _Member(self._hired, actor, actor.begin.remote(), time.monotonic())
            self._members.append(member)

    def _look_after(self, member: _Member) -> None:
        """Take up what became of a worker: placed, still without room, ended, lost."""
        answered, _ = self._ray.wait([member.waits_for], timeout=0)
        if not answered:
            late = time.monotonic() - member.hired > _NO_ROOM_SECONDS
            if member.place is None and late and not member.told_no_room:
                member.told_no_room = True
                _log.warning(
                    "Worker %d waits for room: no node has %g CPUs and %g GPUs free"
                    " (`ray status` tells more; ray.num_cpus, ray.num_gpus, ray.max_workers).",
                    member.number, self._rule.num_cpus, self._rule.num_gpus,
                )  # fmt: skip
            return
        try:
            said = self._ray.get(member.waits_for)
        except self._ray.exceptions.RayError as error:
            self._lost(member, f"it is lost with its process or node ({type(error).__name__})")
            return
        if not isinstance(said, Place):
            self._lost(member, "it ended by itself")
        elif said.problem is not None:
            self._lost(member, said.problem)
        else:
            member.place = said
            member.waits_for = member.actor.run.remote()
            self._failures = 0
            _log.info("Worker %d works on %s.", member.number, said.machine)

    def _lost(self, member: _Member, why: str) -> None:
        """Forget a worker; another takes its place, later the more often that fails at once."""
        _log.error("Worker %d is replaced: %s.", member.number, why)
        self._members.remove(member)
        self._ray.kill(member.actor)
        if member.place is None:
            self._failures += 1
            wait = min(2.0**self._failures / 2, _LONGEST_WAIT_SECONDS)
            self._not_before = time.monotonic() + wait

    def _leave(self, member: _Member) -> None:
        _log.info("Worker %d is not needed any more.", member.number)
        if member.place is None:
            self._ray.kill(member.actor)
            return
        member.actor.stop.remote()
        member.hired = time.monotonic()
        self._leaving.append(member)

    def _is_gone(self, member: _Member) -> bool:
        """Tell whether a worker that shall leave has ended, and see to it that it does in time."""
        ended, _ = self._ray.wait([member.waits_for], timeout=0)
        if not ended and time.monotonic() - member.hired < _LEAVE_SECONDS:
            return False
        self._ray.kill(member.actor)
        return True

    def _end_all(self) -> None:
        for member in self._members:
            if member.place is None:
                self._ray.kill(member.actor)
            else:
                member.actor.stop.remote()
                self._leaving.append(member)
        ends = [member.waits_for for member in self._leaving]
        if ends:
            self._ray.wait(ends, num_returns=len(ends), timeout=_LEAVE_SECONDS)
        for member in self._leaving:
            self._ray.kill(member.actor)
        self._members, self._leaving = [], []


def _hiring(ray: Any, rule: Ray, travelling: Travelling, mark: Path) -> Callable[[], Any]:
    """Return what has the cluster place one more worker; it lives no longer than this process."""
    worker = ray.remote(RemoteWorker).options(
        num_cpus=rule.num_cpus,
        num_gpus=rule.num_gpus,
        max_restarts=0,  # replaced instead, which places it anew
        max_concurrency=3,  # so that it can be told to stop while `run` waits for its end
        scheduling_strategy="SPREAD",
    )
    # Put once: every worker gets the same, and no list of arguments shows it.
    kept = ray.put(travelling)

    def hire() -> Any:
        return worker.remote(kept, mark, rule.num_cpus)

    return hire
