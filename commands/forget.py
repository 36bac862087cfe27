"""`hilum forget`: one patient is erased on request, and what remains elsewhere is said."""

from __future__ import annotations

from contextlib import closing

from audit import Trail, events
from audit.message import Participant
from audit.pseudonym import pseudonym
from audit.trail import folder_of, person
from commands.problem import ProblemError
from commands.roles import opened
from db.erasure import BusyError, Held, erase, held, scrub
from db.files import FileStore
from db.session import Database
from settings import Settings

_REMAINS = (
    "What remains: {sent}; backups that were made before; the audit trail, which has to name whose"
    " films came and went; and what the disk itself may keep of deleted files."
)


def forget(
    settings: Settings, patient_id: str, *, really: bool, even_unsent: bool
) -> tuple[list[str], bool]:
    """Erase a patient, or tell what would be erased; return what to say, and whether all is gone.

    Raises:
        ProblemError: no Patient ID was given.
    """
    if not patient_id.strip():
        raise ProblemError("a Patient ID is needed; an empty one would be that of many patients")
    with opened(settings) as (database, store):
        with database.read() as session:
            found = held(session, patient_id)
        if not found.studies:
            if really:
                scrub(database)  # an earlier erasure may have been broken off before
            return ["Nothing is held under exactly this Patient ID."], True
        counted = (
            f"{len(found.studies)} studies with {found.films} films and {found.results} results"
            f" ({found.bytes / 1e6:,.1f} MB)"
        )
        if not really:
            return _dry_run(found, counted, even_unsent=even_unsent), True
        return _erase(settings, database, store, found, patient_id, even_unsent=even_unsent)


def _dry_run(found: Held, counted: str, *, even_unsent: bool) -> list[str]:
    lines = [f"{counted} of this patient are held."]
    if found.unsent and not even_unsent:
        lines.append(
            f"{len(found.unsent)} of the studies are not reported or not sent yet, and would stay;"
            " --even-unsent erases them too."
        )
    return [*lines, _remains(found), "Nothing was erased; the same with --yes erases."]


def _erase(
    settings: Settings,
    database: Database,
    store: FileStore,
    found: Held,
    patient_id: str,
    *,
    even_unsent: bool,
) -> tuple[list[str], bool]:
    wanted = [each for each in found.studies if even_unsent or each not in found.unsent]
    left = len(found.studies) - len(wanted)
    busy = 0
    for study_id in wanted:
        with database.read() as session:
            now = database.now(session)
        try:
            erase(database, store, study_id, now=now)
        except BusyError:
            busy += 1
    erased = len(wanted) - busy
    lines = [f"{erased} studies of this patient were erased."]
    if erased:
        _tell(settings, patient_id, {"studies": erased, "left": left + busy})
        scrub(database)
    if left:
        lines.append(f"{left} are not reported or not sent yet, and stay; see --even-unsent.")
    if busy:
        lines.append(f"{busy} are being worked on and stay: give the same command in a minute.")
    return [*lines, _remains(found)], not left and not busy


def _remains(found: Held) -> str:
    names = ", ".join(found.destinations)
    sent = f"what was sent to {names}" if names else "nothing at destinations, since none got any"
    return _REMAINS.format(sent=sent)


def _tell(settings: Settings, patient_id: str, what: dict[str, int]) -> None:
    """Have the trail tell that somebody was erased; who it was is a keyed hash."""
    name = pseudonym(folder_of(settings), patient_id)
    with closing(Trail(settings)) as trail:
        trail.add(
            events.erased(
                trail.now(),
                person=Participant(person()),
                ours=trail.ours,
                pseudonym=name,
                what=what,
            )
        )
