"""`hilum forget`: one patient is erased on request, and what remains elsewhere is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from audit import Trail, events
from audit.message import Participant
from audit.pseudonym import pseudonym
from audit.trail import folder_of, person
from commands.problem import ProblemError
from commands.roles import opened
from db.erasure import BusyError, Held, alike, erase, held, scrub
from db.files import FileStore
from db.session import Database
from settings import Settings

_REMAINS = (
    "What remains: {sent}; backups that were made before; the audit trail, which has to name whose"
    " films came and went; and what the disk itself may keep of deleted files."
)


def forget(
    settings: Settings,
    patient_ids: Sequence[str],
    *,
    birth_date: str | None = None,
    really: bool,
    even_unsent: bool,
) -> tuple[list[str], bool]:
    """Erase a patient, or tell what would be erased; return what to say, and whether all is gone.

    Args:
        settings: where all of it is.
        patient_ids: all that the patient was known by.
        birth_date: YYYYMMDD, where others have the same ID.
        really: erase.
        even_unsent: also what is not reported or sent yet.

    Raises:
        ProblemError: no Patient ID was given, or what is no date.
    """
    if not patient_ids or not all(each.strip() for each in patient_ids):
        raise ProblemError("a Patient ID is needed; an empty one would be that of many patients")
    if birth_date is not None and not (len(birth_date) == 8 and birth_date.isdecimal()):
        raise ProblemError("a birth date is needed as films say it: YYYYMMDD, as in 19700131")
    with opened(settings) as (database, store):
        with database.read() as session:
            by_id = {each: held(session, each, birth_date) for each in patient_ids}
            others = alike(session, patient_ids)
        found = list(by_id.values())
        if not any(each.studies for each in found):
            # An earlier erasure may have been broken off before it came to that.
            doubts = _scrubbed(database) if really else []
            nothing = "Nothing is held under exactly this Patient ID."
            return [nothing, *doubts, *_doubts([], others)], not doubts
        if not really:
            return [*_dry_run(found, others, even_unsent=even_unsent)], True
        return _erase(settings, database, store, by_id, even_unsent=even_unsent)


def _dry_run(found: Sequence[Held], others: int, *, even_unsent: bool) -> Iterator[str]:
    unsent = sum(len(each.unsent) for each in found)
    yield (
        f"{sum(len(each.studies) for each in found)} studies with"
        f" {sum(each.films for each in found)} films and"
        f" {sum(each.results for each in found)} results"
        f" ({sum(each.bytes for each in found) / 1e6:,.1f} MB) of this patient are held."
    )
    if unsent and not even_unsent:
        yield (
            f"{unsent} of the studies are not reported or not sent yet, and would stay;"
            " --even-unsent erases them too."
        )
    yield from _doubts(found, others)
    yield _remains(found)
    yield "Nothing was erased; the same with --yes erases."


def _doubts(found: Sequence[Held], others: int) -> Iterator[str]:
    """Say, without naming anybody, where another patient may be meant too, or this one missed."""
    if any(each.birth_dates > 1 for each in found):
        most = max(each.birth_dates for each in found)
        yield (
            f"CAREFUL: the studies of one Patient ID name {most} different birth dates, so they may"
            " be of different patients; --birth-date erases those of one alone."
        )
    if others:
        yield (
            f"{others} more studies have a Patient ID that differs only in case, spaces, zeros in"
            " front or what follows a ^; if they are of the same patient, name those IDs too"
            " (--patient-id may be repeated)."
        )


def _erase(
    settings: Settings,
    database: Database,
    store: FileStore,
    by_id: Mapping[str, Held],
    *,
    even_unsent: bool,
) -> tuple[list[str], bool]:
    erased = left = busy = 0
    for patient_id, found in by_id.items():
        wanted = [each for each in found.studies if even_unsent or each not in found.unsent]
        kept = _busy(database, store, wanted)
        stay = len(found.studies) - len(wanted)
        if gone := len(wanted) - kept:
            _tell(settings, patient_id, {"studies": gone, "left": stay + kept})
        erased, left, busy = erased + gone, left + stay, busy + kept
    doubts = _scrubbed(database) if erased else []
    lines = [f"{erased} studies of this patient were erased.", *doubts]
    if left:
        lines.append(f"{left} are not reported or not sent yet, and stay; see --even-unsent.")
    if busy:
        lines.append(f"{busy} are being worked on and stay: give the same command in a minute.")
    done = not left and not busy and not doubts
    return [*lines, _remains(list(by_id.values()))], done


def _scrubbed(database: Database) -> list[str]:
    """Rewrite the database's files; return what is to be said where that cannot be done now."""
    try:
        scrub(database)
    except BusyError:
        return [
            "The database was in use all the time, so bytes of what was erased may still lie in its"
            " files: give the same command in a minute."
        ]
    return []


def _busy(database: Database, store: FileStore, studies: Sequence[int]) -> int:
    """Erase studies; return how many stay, since somebody works on them."""
    busy = 0
    for study_id in studies:
        with database.read() as session:
            now = database.now(session)
        try:
            erase(database, store, study_id, now=now)
        except BusyError:
            busy += 1
    return busy


def _remains(found: Sequence[Held]) -> str:
    names = ", ".join(sorted({name for each in found for name in each.destinations}))
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
