"""`hilum reread`: an archive through a model, and what it changes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from audit.events import SOFTWARE_CONFIGURATION
from audit.trail import person
from cluster.reader import ReaderJob
from cluster.reread import Recorder, here, reread
from commands.audited import done_by_person
from commands.bundle import find
from commands.plain_table import plain_table
from commands.problem import ProblemError
from commands.progress import progress
from commands.roles import opened
from db import rereading
from db.bundles import current, key_of
from db.rereading import Archive
from db.session import Database
from db.states import BundleRole
from inference.bundle import Bundle, device, for_site, load_bundle
from inference.worker import registry
from settings import Settings


def run(
    settings: Settings,
    name: str,
    since: datetime | None,
    until: datetime | None,
    *,
    shadow: bool,
    films: int,
    console: Console,
) -> dict[str, Any]:
    """Read what is left of the archive with a bundle, and return the comparison as plain data.

    Args:
        settings: limits, the site's prevalence, what a reader takes of a node.
        name: the bundle, ID/VERSION or its folder.
        since, until: when the first image of a study came.
        shadow: whether the readings are for comparison alone.
        films: how many of the films that differ most are told.
        console: where progress is shown.

    Raises:
        BundleError: the bundle cannot be used.
        ProblemError: the bundle may not be read with in this way.
    """
    bundle = find(settings, name)
    read_with = for_site(bundle, settings.worker.prevalence)
    archive = Archive(device(read_with).uid, shadow, since, until)
    with opened(settings) as (database, _):
        _refuse_wrong_role(settings, database, bundle, shadow=shadow)
        by = f"read anew with {bundle.label} by {person()}"
        done_by_person(
            settings, SOFTWARE_CONFIGURATION,
            f"Archive read anew with {bundle.id}/{bundle.version}"
            f"{' in shadow' if shadow else ''}.",
        )  # fmt: skip
        recorder = Recorder(database, archive, read_with, settings, by)
        job = _job(settings, bundle)
        with progress(console, "Studies") as tell:
            tally = reread(database, archive, recorder, here(job), tell)
        with database.read() as session:
            compared = rereading.compare(session, archive)
            differing = rereading.differences(session, archive, limit=films)
    return {
        "bundle": f"{bundle.id}/{bundle.version}",
        "shadow": shadow,
        **asdict(tally),
        "comparison": asdict(compared),
        "differences": [asdict(each) for each in differing],
    }


def print_outcome(found: dict[str, Any], console: Console) -> None:
    """Print what was read and how it compares, for people."""
    console.print(
        f"{found['bundle']}: {found['films']} films of {found['studies']} studies were read now.",
        highlight=False,
    )
    if found["left"]:
        console.print(
            f"{found['left']} are left as they were (the last because {found['reason']});"
            " the same command tries them again.",
            highlight=False,
        )
    if not found["shadow"] and found["studies"]:
        console.print("Workers make the further revisions of their reports.")
    compared = found["comparison"]
    if not compared["films"]:
        console.print("There is nothing to compare: no film was read both before and by it.")
        return
    table = plain_table("before", "now", "films", right=("films",))
    for change in compared["changes"]:
        table.add_row(change["before"], change["after"], str(change["films"]))
    console.print(table)
    changed = sum(each["films"] for each in compared["changes"] if each["before"] != each["after"])
    console.print(
        f"Of {compared['films']} films read before and now, {changed} changed class, and"
        f" {compared['refused']} are refused now. Probability of pneumonia, now less before: mean"
        f" {compared['mean_difference'] * 100:+.1f} points, mean size"
        f" {compared['mean_absolute_difference'] * 100:.1f}, largest"
        f" {compared['largest_difference'] * 100:.1f}.",
        highlight=False,
    )
    if found["differences"]:
        table = plain_table("study", "image", "before", "", "now", "", right=("image", ""))
        for row in found["differences"]:
            table.add_row(
                str(row["study_id"]),
                str(row["instance_id"]),
                Text(f"{row['active']}: {row['active_finding']}"),
                f"{row['active_probability']:.1%}",
                Text(f"{row['shadow']}: {row['shadow_finding']}"),
                f"{row['shadow_probability']:.1%}",
            )
        console.print(table)


def _job(settings: Settings, bundle: Bundle) -> ReaderJob:
    worker = settings.worker
    return ReaderJob(
        settings=settings,
        bundle=bundle.path,
        key=registry.key_of(bundle),
        prevalence=worker.prevalence,
        runtime=worker.runtime,
        cpus=settings.ray.num_cpus,
    )


def _refuse_wrong_role(
    settings: Settings, database: Database, bundle: Bundle, *, shadow: bool
) -> None:
    """Have only the active bundle make reports, and only another one read in shadow.

    Raises:
        ProblemError: it is the other way round.
    """
    with database.read() as session:
        active = key_of(current(session, BundleRole.ACTIVE))
    active = active or registry.key_of(load_bundle(settings.worker.bundle))
    name = f"{bundle.id}/{bundle.version}"
    is_active = registry.key_of(bundle) == active
    if shadow and is_active:
        raise ProblemError(f"{name} is the active bundle: it is compared with no other in shadow")
    if not shadow and not is_active:
        raise ProblemError(
            f"{name} is not the active bundle, whose reports these would be: `hilum bundle"
            f" activate {name}` makes it that, or add --shadow to compare it alone"
        )
