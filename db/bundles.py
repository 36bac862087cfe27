"""Which bundle is active and which reads in shadow: the choices, their history, their problems."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from db.dialects import insert_or_ignore
from db.models import BundleChoice, BundleProblem, Task
from db.states import BundleRole, TaskKind, TaskState


class NothingBeforeError(Exception):
    """There is no earlier choice to return to; the message says so."""


@dataclass(frozen=True, slots=True)
class BundleKey:
    """What names a bundle: its id and version, and the SHA-256 of its `bundle.json`."""

    id: str
    version: str
    digest: str

    @property
    def label(self) -> str:
        """Id and version, as readings carry them."""
        return f"{self.id} {self.version}"


def current(session: Session, role: BundleRole) -> BundleChoice | None:
    """Return the choice that holds for a role; None where there has never been one.

    A choice without a bundle leaves the role to the configuration.
    """
    return session.scalar(
        select(BundleChoice)
        .where(BundleChoice.role == role)
        .order_by(BundleChoice.id.desc())
        .limit(1)
    )


def version(session: Session) -> int:
    """Return the id of the latest choice of either role; 0: there is none."""
    return session.scalar(select(func.max(BundleChoice.id))) or 0


def key_of(choice: BundleChoice | None) -> BundleKey | None:
    """Return the bundle of a choice; None where the configuration decides."""
    if choice is None or choice.bundle is None:
        return None
    return BundleKey(choice.bundle, choice.version or "", choice.digest or "")


def activate(
    session: Session, key: BundleKey | None, *, by: str, reason: str | None, now: datetime
) -> BundleChoice:
    """Choose whose readings are reported; without a bundle, the configuration decides again.

    A bundle that read in shadow until now does so no longer.
    """
    before = current(session, BundleRole.ACTIVE)
    return _activate(session, key, None if before is None else before.id, by, reason, now)


def roll_back(session: Session, *, by: str, reason: str | None, now: datetime) -> BundleChoice:
    """Return to the active bundle before this one; called again, to the one before that.

    Raises:
        NothingBeforeError: there is none.
    """
    holds = current(session, BundleRole.ACTIVE)
    if holds is None or (holds.bundle is None and holds.before_id is None):
        raise NothingBeforeError(
            "no bundle was activated before, so there is nothing to return to;"
            " `hilum bundle history` lists what was"
        )
    before = None if holds.before_id is None else session.get(BundleChoice, holds.before_id)
    earlier = None if before is None else before.before_id
    return _activate(session, key_of(before), earlier, by, reason, now)


def shadow(
    session: Session, key: BundleKey | None, *, by: str, reason: str | None, now: datetime
) -> BundleChoice:
    """Choose what reads in shadow; without a bundle nothing does, and what waits is dropped."""
    chosen = _choice(BundleRole.SHADOW, key, None, by, reason, now)
    session.add(chosen)
    if key is None:
        session.execute(
            delete(Task).where(Task.kind == TaskKind.SHADOW, Task.state == TaskState.READY)
        )
    session.flush()
    return chosen


def history(session: Session, *, limit: int) -> list[BundleChoice]:
    """List the choices of both roles, newest first."""
    return list(session.scalars(select(BundleChoice).order_by(BundleChoice.id.desc()).limit(limit)))


def record_problem(
    session: Session, choice_id: int, *, worker: str, sentence: str, now: datetime
) -> None:
    """Record that a worker cannot use a chosen bundle; its earlier problem with it is replaced."""
    clear_problem(session, choice_id, worker=worker)
    values = {"choice_id": choice_id, "worker": worker, "at": now, "sentence": sentence}
    session.execute(insert_or_ignore(session, BundleProblem), values)


def clear_problem(session: Session, choice_id: int, *, worker: str) -> None:
    """Record that a worker can use a chosen bundle."""
    session.execute(
        delete(BundleProblem).where(
            BundleProblem.choice_id == choice_id, BundleProblem.worker == worker
        )
    )


def problems(session: Session) -> list[tuple[BundleChoice, BundleProblem]]:
    """List the problems with the choices that hold now."""
    holding = {each.id: each for role in BundleRole if (each := current(session, role)) is not None}
    rows = session.scalars(
        select(BundleProblem)
        .where(BundleProblem.choice_id.in_(holding))
        .order_by(BundleProblem.choice_id, BundleProblem.worker)
    )
    return [(holding[row.choice_id], row) for row in rows]


def _activate(
    session: Session,
    key: BundleKey | None,
    before_id: int | None,
    by: str,
    reason: str | None,
    now: datetime,
) -> BundleChoice:
    chosen = _choice(BundleRole.ACTIVE, key, before_id, by, reason, now)
    session.add(chosen)
    if key is not None and key == key_of(current(session, BundleRole.SHADOW)):
        shadow(session, None, by=by, reason="it is the active bundle now", now=now)
    session.flush()
    return chosen


def _choice(
    role: BundleRole,
    key: BundleKey | None,
    before_id: int | None,
    by: str,
    reason: str | None,
    now: datetime,
) -> BundleChoice:
    return BundleChoice(
        role=role,
        bundle=None if key is None else key.id,
        version=None if key is None else key.version,
        digest=None if key is None else key.digest,
        before_id=before_id,
        at=now,
        by=by,
        reason=reason,
    )
