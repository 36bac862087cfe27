"""`hilum fetch`: films that an archive holds come here, as if it had sent them."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.text import Text

from commands.logs import configure_logging
from commands.plain_table import plain_table
from commands.problem import ProblemError
from commands.progress import bars
from commands.roles import opened
from commands.send import echo
from scp_service.archives.fetch import Fetch, Outcome, Plan, Result
from scp_service.archives.found import ArchiveError, FoundStudy, RetrieveError, UnavailableError
from scp_service.archives.kinds import archive_of
from scp_service.archives.pace import Pace, window
from scp_service.archives.query import Query, QueryError, study_dates
from scp_service.audited import archive_asked
from scp_service.receive import receiving
from scp_service.store_scu import Peer
from settings import Archive, DicomArchive, Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line; None and () are left to the archive's settings."""

    dates: str | None = None
    modalities: tuple[str, ...] = ()
    patient_id: str = ""
    accession_number: str = ""
    study_description: str = ""
    whole_archive: bool = False
    per_minute: float | None = None
    between: str | None = None


def fetch(
    settings: Settings,
    name: str | None,
    wanted: Wanted,
    console: Console,
    *,
    dry_run: bool,
    show_patients: bool,
) -> bool:
    """Fetch what matches, or list it with `dry_run`; return whether all of it is here now.

    Raises:
        ProblemError: no such archive, no such query, or the archive cannot be used.
    """
    archive = _archive(settings, name)
    try:
        query, pace = _query(archive, wanted), _pace(archive, wanted)
        with _opened(settings, archive, query, pace) as run:
            studies = run.studies()
            if not studies:
                console.print(f"{archive.name} has no study that matches.", highlight=False)
                return True
            if dry_run:
                return _list(run, studies, console, show_patients=show_patients)
            _notice(settings, archive, console)
            return _run(run, studies, console, show_patients=show_patients)
    except QueryError as error:
        raise ProblemError(str(error)) from None
    except (ArchiveError, RetrieveError, UnavailableError) as error:
        where = archive_of(archive, settings, None).where
        raise ProblemError(f"{archive.name} ({where}): {error}") from None


def _archive(settings: Settings, name: str | None) -> Archive:
    known = {archive.name: archive for archive in settings.archives}
    if not known:
        raise ProblemError("no archive is configured; add [[archives]] to hilum.toml")
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is None:
        raise ProblemError(f"say which archive to fetch from: {', '.join(known)}")
    if name not in known:
        raise ProblemError(f"no archive is named {name!r}; configured: {', '.join(known)}")
    return known[name]


def _query(archive: Archive, wanted: Wanted) -> Query:
    query = Query(
        modalities=wanted.modalities or archive.modalities,
        dates="" if wanted.dates is None else study_dates(wanted.dates, datetime.now().date()),
        patient_id=wanted.patient_id,
        accession_number=wanted.accession_number,
        study_description=wanted.study_description,
    )
    if query.is_open and not wanted.whole_archive:
        raise QueryError(
            "say what to fetch: --date, --patient-id, --accession or --description; or --all for"
            " everything that the archive holds"
        )
    return query


def _pace(archive: Archive, wanted: Wanted) -> Pace:
    return Pace(
        wanted.per_minute or archive.studies_per_minute,
        window(wanted.between) if wanted.between is not None else None,
    )


@contextmanager
def _opened(settings: Settings, archive: Archive, query: Query, pace: Pace) -> Iterator[Fetch]:
    configure_logging("fetch", settings.log_level, settings.log_format)
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with (
            opened(settings) as (database, store),
            receiving(settings, database, store) as receiver,
            closing(archive_of(archive, settings, receiver)) as asked,
        ):
            archive_asked(receiver.trail, archive, asked.where, query)
            yield Fetch(
                asked,
                query,
                database,
                store,
                settings.listener.min_free_bytes,
                pace,
                stop,
                lambda: datetime.now().astimezone(),
            )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _notice(settings: Settings, archive: Archive, console: Console) -> None:
    """Say what will keep films of a C-MOVE from reaching us, as far as can be seen from here."""
    if not isinstance(archive, DicomArchive) or archive.retrieve != "move":
        return
    listener = settings.listener
    problem = echo(Peer("127.0.0.1", listener.port, listener.ae_title, listener.ae_title, 5))
    if problem is not None:
        console.print(
            f"Note: the archive sends to our listener, and on this machine none answers at port"
            f" {listener.port} ({problem}); `hilum serve` starts one.",
            highlight=False,
        )
    if settings.peers and archive.ae_title not in {peer.ae_title for peer in settings.peers}:
        console.print(
            f"Note: {archive.ae_title} is not among [[peers]], so our listener will refuse what it"
            " sends.",
            highlight=False,
        )


def _list(run: Fetch, studies: list[FoundStudy], console: Console, *, show_patients: bool) -> bool:
    plans = [run.plan(study) for study in studies]
    patients = ("patient", "name", "accession") if show_patients else ()
    columns = ("study date", "description", "here", "to come", *patients)
    table = plain_table(*columns, right=("here", "to come"))
    for plan in plans:
        table.add_row(*_cells(plan, show_patients=show_patients))
    console.print(table)
    films, here = sum(len(plan.missing) for plan in plans), sum(plan.here for plan in plans)
    to_come = sum(bool(plan.missing) for plan in plans)
    console.print(
        f"{_studies(len(studies))} found: {_films(films)} of {_studies(to_come)} would come,"
        f" {_films(here)} here already.",
        highlight=False,
    )
    return True


def _cells(plan: Plan, *, show_patients: bool) -> list[Text]:
    study = plan.study
    shown = [study.study_date, study.study_description, str(plan.here), str(len(plan.missing))]
    if show_patients:
        shown += [study.patient_id, study.patient_name, study.accession_number]
    return [Text(each or "-") for each in shown]


def _run(run: Fetch, studies: list[FoundStudy], console: Console, *, show_patients: bool) -> bool:
    outcomes: list[Outcome] = []
    try:
        with bars(console) as progress:
            bar = progress.add_task("fetching", total=len(studies))

            def rest(seconds: float) -> None:
                if seconds > 60:
                    progress.update(bar, description=f"waiting {seconds / 60:.0f} minutes")

            for outcome in run.run(studies, rest):
                outcomes.append(outcome)
                progress.update(bar, advance=1, description="fetching")
                if outcome.result is Result.FAILED:
                    progress.console.print(_failure(outcome, show_patients=show_patients))
    finally:
        console.print(_count(studies, outcomes), highlight=False, soft_wrap=True)
    if len(outcomes) < len(studies):
        console.print("Stopped; the same command goes on from here.", highlight=False)
    return len(outcomes) == len(studies) and all(
        outcome.result is not Result.FAILED for outcome in outcomes
    )


def _failure(outcome: Outcome, *, show_patients: bool) -> Text:
    study = outcome.study
    who = f", patient {study.patient_id}" if show_patients else ""
    return Text(f"failed: the study of {study.study_date or 'no date'}{who}: {outcome.reason}")


def _count(studies: list[FoundStudy], outcomes: list[Outcome]) -> str:
    results = Counter(outcome.result for outcome in outcomes)
    parts = [
        f"{results[Result.FETCHED]} fetched",
        f"{results[Result.HERE]} already here",
        f"{results[Result.FAILED]} failed",
    ]
    if results[Result.NOTHING]:
        parts.append(f"{results[Result.NOTHING]} without a film that could be read")
    if left := len(studies) - len(outcomes):
        parts.append(f"{left} not yet asked for")
    films = sum(outcome.fetched for outcome in outcomes)
    return f"{_studies(len(studies))} found: {', '.join(parts)}. {_films(films)} came."


def _studies(number: int) -> str:
    return "1 study" if number == 1 else f"{number} studies"


def _films(number: int) -> str:
    return "1 film" if number == 1 else f"{number} films"
