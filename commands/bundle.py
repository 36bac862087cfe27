"""`hilum bundle …`: which bundles there are, and what is in one. `bundle_choice` chooses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from commands.plain_table import plain_table
from commands.problem import ProblemError
from commands.roles import opened
from db import bundles
from db.session import Database
from db.states import BundleRole
from inference.bundle import MANIFEST, MODEL_CARD, Bundle, load_bundle
from inference.bundle_zip import export_zip
from inference.worker import choosing
from inference.worker.choosing import Row, checked
from inference.worker.registry import Registry, key_of
from settings import Settings


def rows(settings: Settings) -> list[Row]:
    """List all bundles, with what each is chosen for and why one cannot be used."""
    with opened_registry(settings) as (registry, database):
        return choosing.rows(settings, registry, database)


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
    predictor = checked(settings.worker, bundle)
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
    if not file.absolute().parent.is_dir():
        raise ProblemError(f"{file}: there is no folder {file.absolute().parent}; make it")
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


@contextmanager
def opened_registry(settings: Settings) -> Iterator[tuple[Registry, Database]]:
    """Open the registry, and the database that says what is chosen."""
    with opened(settings) as (database, store):
        yield Registry(store.root), database
