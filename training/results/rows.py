"""Every row of the report's tables with what became of it here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import ValidationError

from training.experiments.spec import TABLES, VARIANT_MARK, Spec
from training.results.measured import Known, Measured, measure
from training.results.runs import Run, RunError


class Status(StrEnum):
    """What became of an experiment."""

    DONE = "done"
    RUNNING = "running"
    """Under way, or killed: it goes on when it is started again."""
    FAILED = "failed"
    BROKEN = "broken"
    """Its run folder cannot be read."""
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Row:
    """One experiment: its spec, what became of it, and its variants.

    `reason` says why there is no figure, or none that can be read. `run` is None where it was not
    run or cannot be read, `measured` where it predicted nothing.
    """

    spec: Spec
    status: Status
    reason: str | None
    run: Run | None
    measured: Measured | None
    variants: tuple[Row, ...] = ()

    @property
    def variant_name(self) -> str:
        """The name after the "@", empty for the row itself."""
        return self.spec.id.partition(VARIANT_MARK)[2]


def build_rows(
    specs: Sequence[Spec], runs: Mapping[str, Run | RunError], known: Known | None = None
) -> list[Row]:
    """Join experiments and runs, in the order of the report's tables.

    Runs of experiments that are not among `specs` come last, by the settings that they recorded.
    """
    known = known or Known()
    rows = []
    for spec in specs:
        variants = tuple(
            _row(spec.variant(name), runs.get(f"{spec.id}{VARIANT_MARK}{name}"), known)
            for name in spec.variants
        )
        rows.append(_row(spec, runs.get(spec.id), known, variants))
    named = {row.spec.id for row in rows} | {v.spec.id for row in rows for v in row.variants}
    for name, run in runs.items():
        if name not in named and isinstance(run, Run):
            spec_of_run = _recorded(run)
            if spec_of_run is not None:
                rows.append(_row(spec_of_run, run, known))
    return sorted(rows, key=lambda row: TABLES.index(row.spec.table))


def strangers(rows: Sequence[Row], runs: Mapping[str, Run | RunError]) -> list[str]:
    """Name the run folders that no row shows: of no experiment known, and without settings."""
    shown = {row.spec.id for row in rows} | {v.spec.id for row in rows for v in row.variants}
    return sorted(set(runs) - shown)


def _row(
    spec: Spec, run: Run | RunError | None, known: Known, variants: tuple[Row, ...] = ()
) -> Row:
    if run is None:
        return Row(spec, Status.NOT_RUN, f"`hilum train {spec.id}`", None, None, variants)
    if isinstance(run, RunError):
        return Row(spec, Status.BROKEN, str(run), None, None, variants)
    status = Status(run.record.status)
    measured = measure(run, known) if status is Status.DONE else None
    reason = run.record.reason
    if status is Status.DONE and measured is None:
        reason = reason or "no film was tested"
    if status is Status.RUNNING:
        reason = reason or f"after {run.record.epochs_done} epochs"
    return Row(spec, status, reason, run, measured, variants)


def _recorded(run: Run) -> Spec | None:
    """The experiment that a run's settings describe, among the "own" ones; None if they do not."""
    try:
        spec = Spec.model_validate(dict(run.record.settings))
    except ValidationError:
        return None
    return spec.model_copy(update={"table": "own", "variants": {}})
