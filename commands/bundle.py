"""`hilum bundle …`: which bundles there are, and which of them read."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.orm import Session

from commands.problem import ProblemError
from commands.roles import opened
from db import bundles
from db.bundles import BundleKey, NothingBeforeError
from db.models import BundleChoice
from db.session import Database
from db.states import BundleRole
from inference.bundle import MANIFEST, MODEL_CARD, Bundle, BundleError, for_site, load_bundle
from inference.bundle_zip import export_zip
from inference.predict import Predictor
from inference.worker.registry import Registry, key_of
from settings import Settings

CONFIGURED = "configured"
OFF = "off"


@dataclass(frozen=True, slots=True)
class Row:
    """A bundle as `hilum bundle list` shows it; `role` is active, shadow or empty."""

    name: str
    origin: str
    role: str
    evaluation_only: bool | None
    opacity_auc: float | None
    digest: str | None
    problem: str | None


def rows(settings: Settings) -> list[Row]:
    """List all bundles, with what each is chosen for and why one cannot be used."""
    with _registry(settings) as (registry, database), database.read() as session:
        active = bundles.key_of(bundles.current(session, BundleRole.ACTIVE))
        shadow = _shadow(session)
        problems = _problems(session)
    entries = [
        (each.name, "packaged" if each.packaged else "registered", each.bundle, each.problem)
        for each in registry.listed()
    ]
    if settings.worker.bundle is not None:
        entries.append(_configured(settings.worker.bundle))
    if active is None:  # nothing is activated: what is configured reads
        configured = entries[0 if settings.worker.bundle is None else -1][2]
        active = None if configured is None else key_of(configured)
    roles = {shadow: "shadow", active: "active"}
    found = []
    for name, origin, bundle, problem in entries:
        key = None if bundle is None else key_of(bundle)
        role = "" if key is None else roles.pop(key, "")
        found.append(_row(name, origin, role, bundle, problem))
    for key, role in roles.items():
        if key is not None:
            gone = "it was chosen and is not registered any more"
            found.append(Row(f"{key.id}/{key.version}", "-", role, None, None, key.digest, gone))
    return [
        _with_problem(row, problems[row.role]) if row.role in problems else row for row in found
    ]


def print_rows(found: list[Row], console: Console) -> None:
    """Print bundles for people."""
    table = _table("bundle", "from", "role", "opacity AUC", "for", "problem")
    for row in found:
        use = "" if row.evaluation_only is None else "evaluation" if row.evaluation_only else "use"
        auc = "" if row.opacity_auc is None else f"{row.opacity_auc:.2f}"
        role = Text(row.role, style="green" if row.role == "active" else "cyan")
        problem = Text(row.problem or "", style="red")
        table.add_row(Text(row.name), Text(row.origin), role, auc, use, problem)
    console.print(table)


def find(settings: Settings, name: str) -> Bundle:
    """Return a bundle by its name in the registry, or by its folder, verified."""
    if (Path(name) / MANIFEST).is_file():
        return load_bundle(Path(name))
    return Registry(settings.data_path).find(name)


def print_bundle(bundle: Bundle, console: Console) -> None:
    """Print what a bundle is and what was measured of it, for people."""
    use = "evaluation only, not for clinical use" if bundle.evaluation_only else "see intended use"
    for name, text in (
        ("bundle", f"{bundle.id}/{bundle.version} by {bundle.manufacturer}"),
        ("folder", str(bundle.path)),
        ("digest", key_of(bundle).digest),
        ("for", use),
        ("intended use", bundle.intended_use),
        ("trained on", f"{bundle.trained_on.description} ({bundle.trained_on.films} films)"),
        ("input", f"{bundle.input_size} x {bundle.input_size} pixels"),
        ("temperature", f"{bundle.temperature:g}"),
        ("biases", ", ".join(f"{bias:g}" for bias in bundle.biases)),
    ):
        console.print(Text.assemble((f"{name:<13}", "bold"), text), soft_wrap=True)
    console.print()
    table = _table("operating point", "threshold", "sensitivity", "specificity", "")
    for name, point in bundle.operating_points.items():
        numbers = (f"{each:.3f}" for each in (point.threshold, point.sensitivity))
        used = "in use" if name == bundle.operating_point else ""
        table.add_row(name, *numbers, f"{point.specificity:.3f}", used)
    console.print(table)
    console.print()
    table = _table("measured", "value", "95 % interval", "of")
    for name, metric in bundle.metrics.items():
        interval = f"{metric.low:.3f} to {metric.high:.3f}"
        table.add_row(name, f"{metric.value:.3f}", interval, Text(metric.of))
    console.print(table)


def manifest(bundle: Bundle) -> dict[str, Any]:
    """Return what `bundle.json` says, with the digest that names it."""
    document: dict[str, Any] = json.loads((bundle.path / MANIFEST).read_text(encoding="utf-8"))
    return {**document, "digest": key_of(bundle).digest}


def model_card(bundle: Bundle) -> str:
    """Return a bundle's model card, as Markdown."""
    return (bundle.path / MODEL_CARD).read_text(encoding="utf-8")


def verify(settings: Settings, name: str) -> str:
    """Hold a bundle against its digests and its golden output; return what was found.

    Raises:
        BundleError: it does not fit.
    """
    bundle = find(settings, name)
    predictor = _checked(settings, bundle)
    return (
        f"{bundle.id}/{bundle.version}: {len(bundle.files)} files fit their digests, and the golden"
        f" input gives the golden output on {predictor.runtime}."
    )


def register(settings: Settings, source: Path) -> str:
    """Copy a bundle in from a folder or a ZIP; return what was done."""
    with _registry(settings) as (registry, _):
        bundle, new = registry.register(source)
    name = f"{bundle.id}/{bundle.version}"
    return f"{name} is registered." if new else f"{name} was registered already."


def export(settings: Settings, name: str, target: Path | None) -> str:
    """Write a bundle as one ZIP; return what was done."""
    bundle = find(settings, name)
    file = target or Path(f"{bundle.id}-{bundle.version}.zip")
    export_zip(bundle, file)
    return f"{bundle.id}/{bundle.version} is in {file}."


def remove(settings: Settings, name: str) -> str:
    """Delete a registered bundle that is not in use; return what was done."""
    with _registry(settings) as (registry, database):
        listed = registry.look_up(name)
        with database.read() as session:
            for role in BundleRole:
                key = bundles.key_of(bundles.current(session, role))
                if key is not None and f"{key.id}/{key.version}" == listed.name:
                    raise ProblemError(
                        f"{listed.name} is {role.value} and cannot be removed; choose another one"
                        " first"
                    )
        registry.remove(listed)
    return f"{listed.name} is removed."


def activate(settings: Settings, name: str, reason: str | None) -> str:
    """Choose the bundle whose readings are reported; return what was done.

    It is loaded and checked here first, so that one that cannot run is refused before any worker
    meets it.
    """
    with _registry(settings) as (registry, database):
        key = None
        if name != CONFIGURED:
            bundle = registry.find(name)
            _checked(settings, bundle)
            key = key_of(bundle)
        with database.write() as session:
            holds = bundles.current(session, BundleRole.ACTIVE)
            if bundles.key_of(holds) == key and (holds is not None or key is None):
                return f"{_name(key)} is active already."
            now = database.now(session)
            bundles.activate(session, key, by=_person(), reason=reason, now=now)
            _end_shadow_of_active(session, settings, now)
    return f"{_name(key)} is active. {_SWAP}"


def roll_back(settings: Settings, reason: str | None) -> str:
    """Return to the bundle that was active before; return what was done."""
    with _registry(settings) as (registry, database), database.write() as session:
        now = database.now(session)
        try:
            chosen = bundles.roll_back(session, by=_person(), reason=reason, now=now)
        except NothingBeforeError as error:
            raise ProblemError(str(error)) from None
        key = bundles.key_of(chosen)
        if key is not None:
            registry.load(key)  # one that is gone or damaged is refused, and nothing is recorded
        _end_shadow_of_active(session, settings, now)
    return f"{_name(key)} is active again. {_SWAP}"


def shadow(settings: Settings, name: str, reason: str | None) -> str:
    """Choose the bundle that reads in shadow, or none; return what was done."""
    with _registry(settings) as (registry, database):
        key = None
        if name != OFF:
            bundle = registry.find(name)
            _checked(settings, bundle)
            key = key_of(bundle)
        with database.write() as session:
            if key is not None and key == _chosen(session, settings):
                raise ProblemError(f"{_name(key)} is the active bundle; name another one")
            if _shadow(session) == key:
                return "Nothing reads in shadow." if key is None else f"{_name(key)} does already."
            now = database.now(session)
            bundles.shadow(session, key, by=_person(), reason=reason, now=now)
    if key is None:
        return "Nothing reads in shadow any more. What was read stays for `hilum bundle compare`."
    return (
        f"{_name(key)} reads in shadow: every film from now on, and nothing of it is sent."
        " `hilum bundle compare` sets it beside the active one."
    )


def history(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """List what was chosen, newest first, as plain data."""
    with _registry(settings) as (_, database), database.read() as session:
        return [_plain(choice) for choice in bundles.history(session, limit=limit)]


def print_history(found: list[dict[str, Any]], console: Console) -> None:
    """Print what was chosen, for people."""
    table = _table("since", "role", "bundle", "by", "why")
    for row in found:
        since = row["at"][:19].replace("T", " ")
        why = Text(row["reason"] or "")
        table.add_row(since, row["role"], Text(row["bundle"]), Text(row["by"]), why)
    console.print(table if found else "No bundle was ever chosen: the configured one reads.")


_SWAP = "Workers load it beside the bundle in use and then change over, without dropping a film."


def _plain(choice: BundleChoice) -> dict[str, Any]:
    key = bundles.key_of(choice)
    nothing = CONFIGURED if choice.role is BundleRole.ACTIVE else OFF
    return {
        "at": choice.at.isoformat(),
        "role": choice.role.value,
        "bundle": nothing if key is None else f"{key.id}/{key.version}",
        "digest": choice.digest,
        "by": choice.by,
        "reason": choice.reason,
    }


def _configured(path: Path) -> tuple[str, str, Bundle | None, str | None]:
    """Describe the bundle of worker.bundle: name, origin, itself, and why it cannot be used."""
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        return path.name, str(path), None, str(error)
    return f"{bundle.id}/{bundle.version}", str(path), bundle, None


def _row(name: str, origin: str, role: str, bundle: Bundle | None, problem: str | None) -> Row:
    if bundle is None:
        return Row(name, origin, role, None, None, None, problem)
    auc = bundle.metrics.get("opacity_auc")
    return Row(
        name,
        origin,
        role,
        bundle.evaluation_only,
        None if auc is None else auc.value,
        key_of(bundle).digest,
        problem,
    )


def _with_problem(row: Row, problem: str) -> Row:
    return Row(**{**asdict(row), "problem": "; ".join(filter(None, (row.problem, problem)))})


def _problems(session: Session) -> dict[str, str]:
    """Return what workers say of the chosen bundles, by role."""
    found: dict[str, str] = {}
    for choice, problem in bundles.problems(session):
        said = f"{problem.worker}, {problem.at:%Y-%m-%d %H:%M}: {problem.sentence}"
        found[choice.role.value] = "; ".join(filter(None, (found.get(choice.role.value), said)))
    return found


def _chosen(session: Session, settings: Settings) -> BundleKey:
    """Return the bundle whose readings are reported: the activated one, else the configured one."""
    key = bundles.key_of(bundles.current(session, BundleRole.ACTIVE))
    return key or key_of(load_bundle(settings.worker.bundle))


def _shadow(session: Session) -> BundleKey | None:
    return bundles.key_of(bundles.current(session, BundleRole.SHADOW))


def _end_shadow_of_active(session: Session, settings: Settings, now: datetime) -> None:
    """Let the configured bundle read in shadow no longer where it is the active one again."""
    key = _shadow(session)
    if key is not None and key == _chosen(session, settings):
        reason = "it is the active bundle now"
        bundles.shadow(session, None, by=_person(), reason=reason, now=now)


@contextmanager
def _registry(settings: Settings) -> Iterator[tuple[Registry, Database]]:
    with opened(settings) as (database, store):
        yield Registry(store.root), database


def _checked(settings: Settings, bundle: Bundle) -> Predictor:
    """Load a bundle's network as this site reads with it; hold it against its golden output."""
    bundle = for_site(bundle, settings.worker.prevalence)
    return Predictor(bundle, runtime=settings.worker.runtime, threads=settings.worker.threads)


def _name(key: BundleKey | None) -> str:
    return "The configured bundle" if key is None else f"{key.id}/{key.version}"


def _person() -> str:
    """Name who chooses, as far as the system tells: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:128]


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table
