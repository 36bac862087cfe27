"""`hilum bundle …`: which bundles there are, and what is in one. `bundle_choice` chooses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from sqlalchemy.orm import Session

from commands.plain_table import plain_table
from commands.problem import ProblemError
from commands.roles import opened
from db import bundles
from db.session import Database
from db.states import BundleRole
from inference.bundle import MANIFEST, MODEL_CARD, Bundle, BundleError, for_site, load_bundle
from inference.bundle_zip import export_zip
from inference.predict import Predictor
from inference.worker.registry import Registry, key_of
from settings import Settings


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
    with opened_registry(settings) as (registry, database), database.read() as session:
        active = bundles.key_of(bundles.current(session, BundleRole.ACTIVE))
        shadow = bundles.key_of(bundles.current(session, BundleRole.SHADOW))
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
    table = plain_table("bundle", "from", "role", "opacity AUC", "for", "problem")
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
    table = plain_table("operating point", "threshold", "sensitivity", "specificity", "")
    for name, point in bundle.operating_points.items():
        numbers = (f"{each:.3f}" for each in (point.threshold, point.sensitivity))
        used = "in use" if name == bundle.operating_point else ""
        table.add_row(name, *numbers, f"{point.specificity:.3f}", used)
    console.print(table)
    console.print()
    table = plain_table("measured", "value", "95 % interval", "of")
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
    predictor = checked(settings, bundle)
    return (
        f"{bundle.id}/{bundle.version}: {len(bundle.files)} files fit their digests, and the golden"
        f" input gives the golden output on {predictor.runtime}."
    )


def register(settings: Settings, source: Path) -> str:
    """Copy a bundle in from a folder or a ZIP; return what was done."""
    with opened_registry(settings) as (registry, _):
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
    with opened_registry(settings) as (registry, database):
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


@contextmanager
def opened_registry(settings: Settings) -> Iterator[tuple[Registry, Database]]:
    """Open the registry, and the database that says what is chosen."""
    with opened(settings) as (database, store):
        yield Registry(store.root), database


def checked(settings: Settings, bundle: Bundle) -> Predictor:
    """Load a bundle's network as this site reads with it; hold it against its golden output."""
    bundle = for_site(bundle, settings.worker.prevalence)
    return Predictor(bundle, runtime=settings.worker.runtime, threads=settings.worker.threads)
