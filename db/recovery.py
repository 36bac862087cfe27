"""Tasks whose owners fell silent go back to the queue, or to quarantine after too many attempts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from db import queue
from db.models import TaskKind
from db.studies import fail_report, quarantine_image

_LEASE_SECONDS = 30.0
_REASON = "The worker was lost {attempts} times while it had this task; it was set aside."


def return_expired(session: Session, *, owner: str, max_attempts: int, now: datetime) -> int:
    """Return or quarantine every task whose lease has ended; return how many there were."""
    leases = queue.take_expired(session, now=now, owner=owner, lease_seconds=_LEASE_SECONDS)
    for lease in leases:
        reason = _REASON.format(attempts=lease.attempts)
        if lease.kind is TaskKind.READ and lease.attempts >= max_attempts:
            quarantine_image(session, lease, reason=reason, now=now)
        elif lease.kind is TaskKind.REPORT and lease.attempts >= max_attempts:
            fail_report(session, lease, reason=reason, now=now)
        else:
            queue.retry_later(session, lease, at=now, error="its worker was lost")
    return len(leases)
