"""What happens on the network, as the audit trail tells it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from audit import Trail, events
from audit.message import Action, Instances, Outcome, Participant
from db.deliveries import Parcel
from db.intake import Film
from db.intake import Outcome as Arrival
from db.models import Study
from scp_service.archives.query import Query
from scp_service.refusals import Rarely
from settings import Archive, DicomArchive, DicomDestination, Settings

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
    of: dict[int, events.Subject],
) -> None:
    """A destination has acknowledged results: one record for each study."""
    for study_id in dict.fromkeys(parcel.study_id for parcel in sent):
        classes = Counter(each.sop_class_uid for each in sent if each.study_id == study_id)
        trail.add(
            events.transferred(
                trail.now(),
                Action.READ,  # whether the receiver held them already is not known here
                source=Participant(trail.ours.user, address=trail.ours.address, requestor=True),
                destination=_destination(settings, destination),
                subject=of[study_id],
                instances=[Instances(uid, count) for uid, count in classes.items()],
            )
        )


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


def _destination(settings: Settings, name: str) -> Participant:
    destination = settings.destination(name)
    if isinstance(destination, DicomDestination):
        return Participant(destination.ae_title, address=destination.host, other_name=name)
    url = getattr(destination, "url", "") or getattr(destination, "host", "")
    return Participant(name, address=str(url))
