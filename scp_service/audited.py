"""What happens on the network, as the audit trail tells it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from audit import Trail, events
from audit.message import Action, Instances, Outcome, Participant
from db.deliveries import Parcel
from db.intake import Film
from db.intake import Outcome as Arrival
from db.models import Study
from scp_service.archives.query import Query
from scp_service.header import text
from scp_service.refusals import Rarely
from settings import (
    Archive,
    Destination,
    DicomArchive,
    DicomDestination,
    ImagingDestination,
    Settings,
)

_UNKNOWN = events.Subject("unknown", "unknown", "")
"""Of a film whose header cannot be read."""

_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root FIND; an archive that is asked by QIDO-RS is asked for the same."""


def film_came(trail: Trail, film: Film, arrival: Arrival) -> None:
    """A film is kept, or was held already."""
    held = arrival is Arrival.DUPLICATE
    trail.add(
        events.transferred(
            trail.now(),
            Action.READ if held else Action.CREATE,
            source=Participant(film.source_ae, address=film.source_address, requestor=True),
            destination=trail.ours,
            subject=events.Subject(
                film.study_instance_uid, film.patient_id, film.patient_name, film.accession_number
            ),
            instances=(Instances(film.sop_class_uid, 1),),
        )
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """A film that was not taken: whence, what is known of it, and why not (no patient data)."""

    source_ae: str
    source_address: str
    reason: str
    sop_class_uid: str = ""
    subject: events.Subject | None = None


class RefusedFilms:
    """Records films that were not taken; who sends one again and again could fill the disk."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._rarely = Rarely()

    def add(self, refused: Refused) -> None:
        """Record a refusal, unless one for the same reason was recorded a moment ago."""
        more = self._rarely.due(refused.source_address, refused.reason)
        if more is None:
            return
        trail, classes = self._trail, (refused.sop_class_uid,) if refused.sop_class_uid else ()
        trail.add(
            events.transferred(
                trail.now(),
                Action.CREATE,
                source=Participant(
                    refused.source_ae, address=refused.source_address, requestor=True
                ),
                destination=trail.ours,
                subject=refused.subject or _UNKNOWN,
                instances=[Instances(each, 1) for each in classes],
                failure=f"Not taken: {refused.reason}.{more}",
            )
        )


def subject_of(header: Dataset) -> events.Subject:
    """Return whose film this is, as far as its header says."""
    return events.Subject(
        text(header, "StudyInstanceUID") or _UNKNOWN.study_instance_uid,
        text(header, "PatientID", 64),
        text(header, "PatientName", 400),
        text(header, "AccessionNumber", 64),
    )


def subjects(session: Session, study_ids: Iterable[int]) -> dict[int, events.Subject]:
    """Map studies to what the trail tells of them."""
    return {
        study.id: events.Subject(
            study.study_instance_uid,
            study.patient_id or "",
            study.patient_name or "",
            study.accession_number or "",
        )
        for study in session.scalars(select(Study).where(Study.id.in_(set(study_ids))))
    }


def results_left(
    trail: Trail,
    settings: Settings,
    destination: str,
    sent: Sequence[Parcel],
    of: Mapping[int, events.Subject],
    *,
    failure: str = "",
) -> None:
    """A destination has acknowledged results, or refused them: one record for each study.

    Documents leave in another format than DICOM, which is an export (PS3.15 A.5.3.4).
    """
    to = settings.destination(destination)
    whom = _participant(to, destination)
    ours = Participant(trail.ours.user, address=trail.ours.address, requestor=True)
    for study_id in dict.fromkeys(parcel.study_id for parcel in sent):
        classes = Counter(each.sop_class_uid for each in sent if each.study_id == study_id)
        instances = [Instances(uid, count) for uid, count in classes.items() if uid]
        of_study: dict[str, Any] = {
            "destination": whom,
            "subject": of[study_id],
            "instances": instances,
            "failure": failure,
        }
        if isinstance(to, ImagingDestination):
            # Whether the receiver held them already is not known here, so the action is R.
            message = events.transferred(trail.now(), Action.READ, source=ours, **of_study)
        else:
            message = events.exported(trail.now(), ours=ours, **of_study)
        trail.add(message)


def study_expired(trail: Trail, subject: events.Subject, why: str) -> None:
    """A study was deleted by its age."""
    trail.add(events.study_deleted(trail.now(), ours=trail.ours, subject=subject, why=why))


def archive_asked(trail: Trail, archive: Archive, where: str, query: Query) -> None:
    """An archive is asked what it holds; `where` is its address."""
    title = archive.ae_title if isinstance(archive, DicomArchive) else archive.name
    whom = Participant(title, address=where.partition(" ")[0], other_name=archive.name)
    keys = json.dumps({key: value for key, value in asdict(query).items() if value})
    now = trail.now()
    trail.add(events.query(now, ours=trail.ours, asked=whom, sop_class_uid=_FIND, keys=keys))


class Refusals:
    """Records who was not let in; whoever is refused could otherwise fill the disk."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._rarely = Rarely()

    def add(self, address: str, reason: str, *, calling: str = "") -> None:
        """Record a refusal, unless the same was recorded a moment ago."""
        more = self._rarely.due(address, reason)
        if more is None:
            return
        self._trail.add(
            events.alert(
                self._trail.now(),
                events.NODE_AUTHENTICATION,
                reporter=self._trail.ours,
                performer=Participant(calling or address, address=address, requestor=True),
                description=f"Refused: {reason}.{more}",
                outcome=Outcome.MINOR_FAILURE,
            )
        )


def _participant(destination: Destination | None, name: str) -> Participant:
    if isinstance(destination, DicomDestination):
        return Participant(destination.ae_title, address=destination.host, other_name=name)
    url = getattr(destination, "url", "") or getattr(destination, "host", "")
    return Participant(name, address=str(url))
