"""What a worker made and has not recorded yet, and what became of a child process's work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from db import queue, studies
from db.models import StoredReading
from inference.isolation import ChildFailedError
from inference.report.build import ReportError

Record = Callable[[Session, datetime], None]
T = TypeVar("T")


@dataclass(slots=True)
class Outcomes:
    """What a turn made, to be recorded in one transaction: the frequent outcomes by kind."""

    readings: list[tuple[queue.Lease, StoredReading]] = field(default_factory=list)
    reports: list[studies.FinishedReport] = field(default_factory=list)
    others: list[tuple[queue.Lease, Record]] = field(default_factory=list)

    def leases(self) -> list[queue.Lease]:
        """List the leases that the outcomes were made under."""
        return [
            *(lease for lease, _ in self.readings),
            *(each.lease for each in self.reports),
            *(lease for lease, _ in self.others),
        ]

    def only(self, task_ids: set[int]) -> Outcomes:
        """Return the outcomes of these tasks."""
        return Outcomes(
            [each for each in self.readings if each[0].task_id in task_ids],
            [each for each in self.reports if each.lease.task_id in task_ids],
            [each for each in self.others if each[0].task_id in task_ids],
        )


def outcome_of(future: Future[T]) -> T | str:
    """Return what a child process made, or in a few words why it could not.

    One film or study must never stop the others, whatever is wrong with it. The text of an
    unforeseen error may hold patient data, so only its kind is told.
    """
    try:
        return future.result()
    except (ChildFailedError, ReportError) as error:
        return str(error)
    except OSError as error:
        return f"a file could not be read or written: {error.strerror}"
    except Exception as error:
        return f"an unforeseen error of the kind {type(error).__name__}"
