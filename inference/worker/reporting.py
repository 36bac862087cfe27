"""A report that is being made, and what it is recorded as. No effects but the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from db import queue
from db.reports import FinishedReport, Material, NewReport
from inference.reading import Device, Finding
from inference.report.build import StudyJob
from inference.worker.build import Built
from inference.worker.rows import priority_of, recorded_at
from settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reporting:
    """A report that is being made by the name of `device`, from what and under which lease.

    `settings` are those of the moment that it was begun in: it is built for the destinations of
    then, and goes to those. `stopped` tells what is left out of it, and why.
    """

    lease: queue.Lease
    source: Material
    device: Device
    job: StudyJob
    settings: Settings
    stopped: tuple[str, ...] = ()

    def without_overlays(self, reason: str) -> Reporting:
        """Return the same report without the pictures that bring the process down."""
        stopped = (f"the overlays are not sent: {reason.rstrip('.')}",)
        return replace(self, job=replace(self.job, overlays=()), stopped=stopped)


def finished(task: Reporting, built: Built) -> FinishedReport:
    """Return what is recorded of a report that was built, and for whom it is."""
    source, device, settings = task.source, task.device, task.settings
    report = NewReport(
        bundle=f"{device.name} {device.version}",
        device_uid=device.uid,
        finding=built.finding.value,
        probability=built.probability,
        sentence=built.sentence,
        recorded_at=recorded_at(source),
        results=built.results,
        priority=priority_of(source),
        stopped=(*task.stopped, *built.stopped),
    )
    ids = {"study": source.study_id, "task": task.lease.task_id}
    for reason in report.stopped:
        _log.error("A result was stopped: %s.", reason, extra=ids)
    sender = (source.source_ae, source.source_address)
    if not settings.recipients(*sender):
        text = "A report goes nowhere: no destination is configured for its sender."
        _log.warning(text, extra=ids)
    positive = built.finding is Finding.OPACITY
    profiles = settings.profiles(*sender, positive=positive, told=source.told)
    return FinishedReport(task.lease, source, report, profiles)
