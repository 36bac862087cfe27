"""What the page of a study tells, gathered from the database in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from db import history, verdicts
from db.models import Delivery, Instance, Report, Result, StoredReading, Study, Task, Verdict
from db.retention import tasks_of
from db.states import DeliveryState, InstanceState, StudyState, Subject, TaskKind, TaskState

_MOST_EARLIER = 20

STATES = {
    "received": "wait",
    "open": "wait",
    "pending": "wait",
    "read": "good",
    "reported": "good",
    "sent": "good",
    "committed": "good",
    "refused": "note",
    "stopped": "bad",
    "failed": "bad",
    "rejected": "bad",
    "quarantined": "bad",
    "verdict": "none",
}
"""What kind of mark a state gets, see the macro `mark`."""

FINDINGS = {
    "opacity": "Lung opacity suspected",
    "abnormal": "No lung opacity above the threshold, but it does not look normal",
    "normal": "No lung opacity above the threshold",
    "failed": "Not analysed: no statement about the lungs",
}


@dataclass(frozen=True, slots=True)
class Film:
    """A film of this study, its number in order of arrival, and what was said of it."""

    number: int
    instance: Instance
    reading: StoredReading | None
    verdicts: tuple[Verdict, ...]

    @property
    def is_quarantined(self) -> bool:
        """Whether it is set aside."""
        return self.instance.state is InstanceState.QUARANTINED

    @property
    def may_be_told(self) -> bool:
        """Whether a verdict may be given: there is a reading that counts."""
        return self.reading is not None and self.instance.state is InstanceState.READ


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the timeline."""

    at: datetime
    what: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Sending:
    """One object on its way to one destination, or there; `task` while it waits or is set aside."""

    revision: int
    result: Result
    delivery: Delivery
    task: Task | None

    @property
    def receipt(self) -> str:
        """What the destination has answered."""
        delivery = self.delivery
        parts = [] if delivery.status is None else [f"status 0x{delivery.status:04X}"]
        if delivery.state is DeliveryState.COMMITTED:
            parts.append("storage committed")
        elif delivery.commit_at is not None:
            parts.append("asked for storage commitment")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that the page shows of a study."""

    study: Study
    films: tuple[Film, ...]
    earlier: tuple[tuple[Study, Instance], ...]
    reports: tuple[Report, ...]
    sendings: tuple[Sending, ...]
    set_aside: tuple[Task, ...]
    timeline: tuple[Happened, ...]

    @property
    def report(self) -> Report | None:
        """The latest revision."""
        return self.reports[-1] if self.reports else None

    @property
    def reading(self) -> StoredReading | None:
        """The reading that decided, where there is any."""
        read = [each.reading for each in self.films if each.may_be_told and each.reading]
        return max(read, key=lambda reading: reading.pneumonia, default=None)

    @property
    def can_be_sent(self) -> bool:
        """Whether the latest report has results for anybody."""
        return any(each.revision == self.study.revision for each in self.sendings)

    @property
    def is_under_way(self) -> bool:
        """Whether something of the study may change soon by itself."""
        waits = any(each.delivery.state is DeliveryState.PENDING for each in self.sendings)
        return self.study.state is StudyState.OPEN or waits

    def for_viewer(self) -> list[dict[str, Any]]:
        """Describe the films to the viewer's script: those of this study, then earlier ones."""
        ours = [_film(f"Film {each.number}", self.study, each.instance) for each in self.films]
        return ours + [_film(_of_earlier(*each), *each) for each in self.earlier]


def told(session: Session, study_id: int) -> Told | None:
    """Gather all that is known of a study; None where there is none."""
    study = session.get(
        Study,
        study_id,
        options=[
            selectinload(Study.instances).selectinload(Instance.readings),
            selectinload(Study.instances).selectinload(Instance.shadow_readings),
            selectinload(Study.reports)
            .selectinload(Report.results)
            .selectinload(Result.deliveries),
        ],
    )
    if study is None:
        return None
    said = verdicts.of_study(session, study_id)
    films = tuple(
        Film(
            number,
            instance,
            instance.readings[-1] if instance.readings else None,
            tuple(each for each in said if each.instance_id == instance.id),
        )
        for number, instance in enumerate(study.instances, start=1)
    )
    tasks = list(session.scalars(select(Task).where(tasks_of(study_id)).order_by(Task.id)))
    return Told(
        study=study,
        films=films,
        earlier=tuple(_earlier(session, study)),
        reports=tuple(study.reports),
        sendings=tuple(_sendings(study, tasks)),
        set_aside=tuple(each for each in tasks if each.state is TaskState.QUARANTINED),
        timeline=tuple(_timeline(session, study, films, said)),
    )


def _sendings(study: Study, tasks: Sequence[Task]) -> list[Sending]:
    of = {task.subject_id: task for task in tasks if task.kind is TaskKind.DELIVER}
    return [
        Sending(report.revision, result, delivery, of.get(delivery.id))
        for report in reversed(study.reports)
        for result in report.results
        for delivery in result.deliveries
    ]


def _timeline(
    session: Session, study: Study, films: Sequence[Film], said: Sequence[Verdict]
) -> list[Happened]:
    names = {(Subject.INSTANCE, each.instance.id): f"film {each.number}" for each in films}
    names |= {
        (Subject.DELIVERY, each.id): f"{result.kind.upper()} to {each.destination}"
        for report in study.reports
        for result in report.results
        for each in result.deliveries
    }
    numbers = {each.instance.id: each.number for each in films}
    lines = [
        Happened(
            event.at,
            names.get((event.subject, event.subject_id), event.subject.value),
            event.state,
            event.reason or "",
        )
        for event in history.timeline(session, study.id)
    ]
    lines += [
        Happened(each.at, f"film {numbers[each.instance_id]}", "verdict", _words_of(each))
        for each in said
    ]
    return sorted(lines, key=lambda line: line.at)


def _words_of(verdict: Verdict) -> str:
    boxes = "" if verdict.boxes is None else f", {len(verdict.boxes)} boxes drawn"
    comment = f": {verdict.comment}" if verdict.comment else ""
    return f"{verdict.by} says {verdict.finding}{boxes}{comment}"


def _earlier(session: Session, study: Study) -> list[tuple[Study, Instance]]:
    """List films of other studies under the same Patient ID, the newest study first."""
    if not study.patient_id.strip():
        return []
    others = session.scalars(
        select(Study)
        .where(Study.patient_id == study.patient_id, Study.id != study.id)
        .order_by(Study.id.desc())
        .limit(_MOST_EARLIER)
        .options(selectinload(Study.instances).selectinload(Instance.readings))
    )
    return [(other, each) for other in others for each in other.instances if each.current]


def _of_earlier(study: Study, instance: Instance) -> str:
    date = study.study_date
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 else "date unknown"
    return f"{day}, {instance.modality or 'film'} (study {study.id})"


def _film(title: str, study: Study, instance: Instance) -> dict[str, Any]:
    read = instance.state is InstanceState.READ and instance.readings
    reading = instance.readings[-1] if read else None
    base = f"/films/{instance.id}"
    return {
        "id": instance.id,
        "title": title,
        "study": study.id,
        "columns": reading.columns if reading else 0,
        "rows": reading.rows if reading else 0,
        "boxes": reading.boxes if reading else [],
        "preview": f"{base}/preview.png",
        "pixels": f"{base}/pixels",
        "heat": f"{base}/heat" if reading else None,
    }
