"""`hilum verdicts`: how readings agree with what readers say, and films labelled by it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.text import Text

from audit import events
from audit.pseudonym import pseudonym
from audit.trail import folder_of
from commands.audited import done_by_person
from commands.plain_table import plain_table
from commands.problem import ProblemError
from commands.roles import opened
from console.pictures import training_set
from console.pictures.shown import Pictures
from db import verdicts
from db.verdicts import GroupedBy
from settings import Settings


def agreement(
    settings: Settings, since: datetime | None, until: datetime | None, by: str
) -> list[dict[str, Any]]:
    """Return the agreement of readings with verdicts given in a period, as plain data.

    Raises:
        ProblemError: they cannot be grouped by that.
    """
    kinds: tuple[GroupedBy, ...] = get_args(GroupedBy)
    if by not in kinds:
        raise ProblemError(f"--by {by}: verdicts are grouped by one of {', '.join(kinds)}")
    group = kinds[kinds.index(by)]
    with opened(settings) as (database, _), database.read() as session:
        found = verdicts.agreement(session, since=since, until=until, by=group)
    return [{**asdict(each), "agreement": each.agreement, "kappa": each.kappa} for each in found]


def print_agreement(found: list[dict[str, Any]], console: Console) -> None:
    """Print the agreement for people."""
    if not found:
        console.print("Nobody has given a verdict in this time; the console's pages take them.")
        return
    columns = ("", "verdicts", "agree", "kappa", "both", "bundle alone", "reader alone", "neither")
    table = plain_table(*columns, right=columns[1:])
    for row in found:
        table.add_row(
            Text(row["group"] or "-"),
            str(row["verdicts"]),
            f"{row['agreement']:.0%}",
            "-" if row["kappa"] is None else f"{row['kappa']:.2f}",
            *(str(row[name]) for name in _SEEN),
        )
    console.print(table)


_SEEN = ("both_positive", "bundle_only", "reader_only", "both_negative")


def export(settings: Settings, folder: Path, since: datetime | None, until: datetime | None) -> str:
    """Write a training set to a folder; return what to say.

    Raises:
        ProblemError: the folder is not empty, or cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ProblemError(f"{folder}: this folder is not empty; name another one")
        written = _write(settings, folder, since, until)
    except OSError as error:
        raise ProblemError(f"{folder}: cannot be written: {error.strerror}") from None
    sentence = f"Films with verdicts were exported: {written.sentence}"
    done_by_person(settings, events.RESTRICTED_FUNCTION, sentence, resource="verdicts")
    return written.sentence


def _write(
    settings: Settings, folder: Path, since: datetime | None, until: datetime | None
) -> training_set.Written:
    with opened(settings) as (database, store), closing(Pictures(settings, store)) as pictures:
        with database.read() as session:
            films = list(verdicts.labelled(session, since=since, until=until))
        (folder / training_set.IMAGES).mkdir(parents=True, exist_ok=True)
        key = folder_of(settings)
        made = training_set.TrainingSet(
            films, store, lambda text: pseudonym(key, text), pictures.pool
        )
        for name, data in made.files():
            (folder / name).write_bytes(data)
        return made.written
