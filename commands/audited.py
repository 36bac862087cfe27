"""What people and processes of this machine do, as the audit trail tells it; and its check."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from audit import Trail, events, file
from audit.message import Code, Outcome, Participant
from audit.trail import folder_of, person
from commands.problem import ProblemError
from metrics import SUPERVISOR_VARIABLE
from settings import Settings
from settings.effective import effective


@contextmanager
def audited(role: str, settings: Settings) -> Iterator[None]:
    """Record that a process of ours begins, with the settings in effect, and that it ends.

    Children of `hilum serve` have the settings that it has recorded.
    """
    with closing(Trail(settings)) as trail:
        ours = Participant(trail.ours.user, address=trail.ours.address, other_name=f"hilum {role}")
        trail.add(events.application(trail.now(), started=True, ours=ours, launcher=person()))
        if SUPERVISOR_VARIABLE not in os.environ:
            values = {each.key: each.value for each in effective(settings, {})}
            trail.add(
                events.alert(
                    trail.now(),
                    events.SECURITY_CONFIGURATION,
                    reporter=ours,
                    description="The settings in effect.",
                    details={"Settings": json.dumps(values)},
                )
            )
        try:
            yield
        finally:
            trail.add(events.application(trail.now(), started=False, ours=ours, launcher=person()))


def done_by_person(
    settings: Settings,
    kind: Code,
    description: str,
    *,
    resource: str = "",
    details: Mapping[str, str] | None = None,
) -> None:
    """Record that the person at the terminal has done something that security depends on."""
    with closing(Trail(settings)) as trail:
        trail.add(
            events.alert(
                trail.now(),
                kind,
                reporter=trail.ours,
                performer=Participant(person(), requestor=True),
                description=description,
                resource=resource,
                outcome=Outcome.SUCCESS,
                details=details,
            )
        )


def verify(settings: Settings) -> str:
    """Check that no record was changed or taken out; return what to say.

    Raises:
        ProblemError: one was.
    """
    found = file.verify(folder_of(settings))
    counted = f"{found.records} records of {found.days} days"
    if found.problem is not None:
        raise ProblemError(f"THE AUDIT TRAIL IS BROKEN after {counted}: {found.problem}")
    if not found.records:
        return "There are no audit records."
    since = f" since {found.first_day}"
    return f"{counted}{since} fit together; the last hash is {found.last}."
