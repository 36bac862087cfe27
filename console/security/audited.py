"""What people do in the console, as the audit trail tells it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from audit import events
from audit.message import Code, Instances, Outcome, Participant
from console.context import Context
from console.security.who import Who
from db import accounts
from db.models import Study


def viewed(context: Context, who: Who, studies: Iterable[Study]) -> None:
    """Studies of patients were shown to somebody: one record each.

    Whoever looks at the same study again and again within ten minutes is recorded once.
    """
    found = {study.id: study for study in studies}
    now = context.trail.now()
    for study_id in context.seen.new(who.viewer, found, now):
        study = found[study_id]
        context.trail.add(
            events.accessed(
                now,
                ours=context.trail.ours,
                person=_person(who),
                subject=_subject(study),
            )
        )


def taken(context: Context, who: Who, study: Study, instances: Sequence[Instances]) -> None:
    """Files of a study were given to somebody: what becomes of them is out of our hands."""
    context.trail.add(
        events.exported(
            context.trail.now(),
            ours=context.trail.ours,
            destination=_person(who),
            subject=_subject(study),
            instances=instances,
        )
    )


def listed(
    context: Context, who: Who, asked: Mapping[str, str], studies: Iterable[int], *, what: str
) -> None:
    """A list of studies was shown or exported: one record, with what was asked for and our ids.

    A list that looks again by itself is recorded where it shows studies that it did not show
    within the last ten minutes.
    """
    now = context.trail.now()
    new = context.seen.new(f"{who.viewer} {what} {sorted(asked.items())}", studies, now)
    if new:
        keys = json.dumps({**asked, "studies": new}, ensure_ascii=True)
        context.trail.add(
            events.looked_up(
                now, ours=context.trail.ours, person=_person(who), what=what, keys=keys
            )
        )


def exported(
    context: Context, who: Who, asked: Mapping[str, str], count: int, *, what: str
) -> None:
    """A list of studies has left as a file: what was asked for, and how many studies were in it."""
    keys = json.dumps({**asked, "exported": count}, ensure_ascii=True)
    context.trail.add(
        events.looked_up(
            context.trail.now(),
            ours=context.trail.ours,
            person=_person(who),
            what=what,
            keys=keys,
        )
    )


def logged_in(context: Context, name: str, address: str) -> None:
    """Somebody has logged in."""
    _authentication(context, name, address, events.LOGIN)


def login_failed(context: Context, name: str, address: str, why: str) -> None:
    """Somebody has tried to log in. The name is kept only where it is a user's.

    People type passwords into that field too, so that any other text stays out of the trail.
    """
    with context.database.read() as session:
        known = accounts.find(session, name)
    told = "an unknown user" if known is None else known.name
    _authentication(context, told, address, events.LOGIN, why)


def logged_out(context: Context, who: Who) -> None:
    """Somebody has logged out."""
    _authentication(context, who.name, who.address, events.LOGOUT)


def security_changed(
    context: Context,
    who: Who,
    description: str,
    *,
    resource: str = "",
    details: Mapping[str, str] | None = None,
) -> None:
    """Something that security depends on was changed: users, roles, tokens, peers, settings."""
    changed(context, who, description, resource=resource, details=details)


def changed(
    context: Context,
    who: Who,
    description: str,
    *,
    kind: Code = events.SECURITY_CONFIGURATION,
    resource: str = "",
    details: Mapping[str, str] | None = None,
) -> None:
    """Something was changed: of the configuration of security, or of another `kind`."""
    context.trail.add(
        events.alert(
            context.trail.now(),
            kind,
            reporter=context.trail.ours,
            performer=_person(who),
            description=description,
            resource=resource,
            details=details,
        )
    )


def acted(context: Context, who: Who, description: str, resource: str) -> None:
    """Something was done with what is kept: sent or read again, judged, given away."""
    context.trail.add(
        events.alert(
            context.trail.now(),
            events.RESTRICTED_FUNCTION,
            reporter=context.trail.ours,
            performer=_person(who),
            description=description,
            resource=resource,
        )
    )


def trail_read(context: Context, who: Who, asked: Mapping[str, str]) -> None:
    """The audit trail itself was looked at."""
    context.trail.add(
        events.trail_used(
            context.trail.now(),
            ours=context.trail.ours,
            person=_person(who),
            asked=json.dumps(dict(asked), ensure_ascii=True),
        )
    )


def _authentication(context: Context, name: str, address: str, kind: Code, why: str = "") -> None:
    context.trail.add(
        events.authentication(
            context.trail.now(),
            kind,
            person=Participant(name, address=address, requestor=True),
            ours=context.trail.ours,
            outcome=Outcome.MINOR_FAILURE if why else Outcome.SUCCESS,
            why=why,
        )
    )


def _subject(study: Study) -> events.Subject:
    return events.Subject(
        study.study_instance_uid, study.patient_id, study.patient_name, study.accession_number
    )


def _person(who: Who) -> Participant:
    by = "" if who.token_id is None else f"token {who.token_id}"
    return Participant(who.name, address=who.address, requestor=True, other_name=by)
