"""A study as a row of the worklist tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from console.services.rows import word_of
from db import history
from db.history import DeliveryCount
from db.models import Study
from db.states import Priority, StudyState

FINDINGS = {
    "opacity": "Lung opacity suspected",
    "abnormal": "No lung opacity, but not normal",
    "normal": "No lung opacity",
    "failed": "Not analysed",
}
"""What a finding is in a list, where there is room for few words."""

_STATES = {
    StudyState.OPEN: ("being read", "wait"),
    StudyState.REPORTED: ("reported", "none"),
    StudyState.FAILED: ("failed", "bad"),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """How far the results of a study have got at one destination: a word, and what mark it gets."""

    destination: str
    word: str
    mark: str
    objects: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the page."""

    study: Study
    finding: str
    reason: str
    state: str
    mark: str
    urgent: bool
    sent: Sequence[Sent]


def rows(session: Session, studies: Sequence[Study]) -> list[Row]:
    """Return studies as rows, in their order."""
    delivered = history.deliveries(session, [study.id for study in studies])
    return [_row(study, delivered.get(study.id, [])) for study in studies]


def _row(study: Study, delivered: Sequence[DeliveryCount]) -> Row:
    state, mark = _STATES[study.state]
    if study.state is StudyState.OPEN and study.revision:
        state = "a further image has come"
    said = (study.sentence or "").partition(";")[0]
    return Row(
        study=study,
        finding=FINDINGS.get(study.finding or "", study.finding or "Not read yet"),
        reason=said if study.finding == "failed" else "",
        state=state,
        mark=mark,
        urgent=study.priority is Priority.URGENT,
        sent=[_sent(each) for each in delivered],
    )


def _sent(each: DeliveryCount) -> Sent:
    counts = {
        "delivered": each.sent,
        "waiting": each.pending,
        "rejected": each.rejected,
    }
    objects = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    mark = "bad" if each.rejected else "wait" if each.pending else "good"
    return Sent(each.destination, word_of(each), mark, objects)
