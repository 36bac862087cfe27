"""`hilum train`: the report's experiments, run one after the other, and listed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from commands.data import open_with_progress
from commands.problem import ProblemError
from commands.progress import bars
from training.experiments import record
from training.experiments.apart import Watch, run_apart
from training.experiments.overrides import Overrides
from training.experiments.progress import Progress as Step
from training.experiments.record import Outcome
from training.experiments.spec import Spec, SpecError, find_many, load_all

ALL: Literal["all"] = "all"
DEFAULT_RUNS = Path("runs/experiments")

_STAGES = {"decode": "decoding", "train": "training", "predict": "predicting"}


def train(
    names: Sequence[str] | Literal["all"],
    folder: Path,
    runs: Path,
    console: Console,
    *,
    films: int | None = None,
    epochs: int | None = None,
    size: int | None = None,
    batch: int | None = None,
    seed: int | None = None,
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] | None = None,
    weights: str | None = None,
    random_if_missing: bool = False,
    mlflow: bool = False,
    apart: bool = True,
) -> bool:
    """Run experiments one after the other; return whether all are done.

    What was finished before with the same settings and films is left as it is, what was killed goes
    on. An experiment that fails is told with its reason, and the next one begins.

    Args:
        names: Ids, ids with a variant ("id@variant"), patterns ("grid-*", "@np_resize": that
            variant of all that have it), files of own experiments; or "all": every row of the
            report's tables.
        folder: The Kaggle folder, packed or not.
        runs: Folder of the runs, one folder each.
        console: Where to print.
        films: Films in all, instead of the experiment's own.
        epochs: Epochs, likewise.
        size: The pictures' side in pixels, likewise.
        batch: Films a batch, likewise.
        seed: Seed of all chance, likewise.
        precision: Number format of the layers, likewise.
        weights: "none", or a file or a folder of weights to start from.
        random_if_missing: Start at random where weights cannot be had, and say so.
        mlflow: Log to MLflow too.
        apart: Run each experiment in a process of its own.

    Raises:
        ProblemError: an experiment is not there or not valid, the folder cannot be used, or MLflow
            is not installed.
    """
    specs = _find(names)
    overrides = Overrides(films, epochs, size, batch, seed, precision, weights, random_if_missing)
    if mlflow and importlib.util.find_spec("mlflow") is None:
        raise ProblemError("MLflow is not installed: `pip install mlflow`, or leave --mlflow out")
    # A folder that cannot be used is told once, not by every experiment.
    open_with_progress(folder, console)
    outcomes: list[Outcome] = []
    with bars(console) as shown:
        whole = shown.add_task("experiments", total=len(specs), visible=len(specs) > 1)
        task = shown.add_task("starting", total=None)

        def watch(spec: Spec, step: Step) -> None:
            _show(shown, task, spec.id, step)

        start = run_apart if apart else _run_here
        ended = start(specs, folder, runs, overrides, watch=watch, mlflow=mlflow)
        for spec, outcome in zip(specs, ended, strict=True):
            shown.advance(whole)
            shown.reset(task, description="starting", total=None)
            outcomes.append(outcome)
            _print_outcome(outcome, spec, folder, overrides, console)
    failed = [each for each in outcomes if each.status != "done"]
    done = len(outcomes) - len(failed)
    console.print(f"\n{done} of {len(outcomes)} experiments are done in {escape(str(runs))}.")
    return not failed


def list_experiments(console: Console, runs: Path = DEFAULT_RUNS) -> None:
    """Print every experiment with the report's figure, and how far it is in the folder of runs.

    Raises:
        ProblemError: an experiment's file is not valid.
    """
    table = Table(box=box.SIMPLE)
    for name in ("experiment", "row", "model", "the report's figure", "state", "variants"):
        table.add_column(name, overflow="fold")
    specs = _find(ALL)
    for spec in specs:
        found = record.read(runs / spec.id)
        table.add_row(
            spec.id, spec.row, spec.model, spec.reported.printed,
            str(found["status"]) if found else "", ", ".join(f"@{name}" for name in spec.variants),
        )  # fmt: skip
    console.print(table)
    console.print(f"{len(specs)} experiments. Run one: hilum train ID --folder FOLDER")


def full_size_command(spec: Spec, folder: Path) -> str:
    """The command that runs an experiment as the report did, at full size."""
    return f"hilum train {spec.id} --folder {folder}"


def _find(names: Sequence[str] | Literal["all"]) -> list[Spec]:
    try:
        if names == ALL or list(names) == [ALL]:
            return load_all()
        if not names:
            raise ProblemError("name an experiment, or give --all; `hilum train --list` lists them")
        return [spec for name in names for spec in find_many(name)]
    except SpecError as error:
        raise ProblemError(str(error)) from None


def _run_here(
    specs: Sequence[Spec],
    folder: Path,
    runs: Path,
    overrides: Overrides,
    *,
    watch: Watch,
    mlflow: bool,
) -> Iterator[Outcome]:
    from training.experiments.run import run  # loads TensorFlow

    for spec in specs:
        yield run(spec, folder, runs, overrides, watch=partial(watch, spec), mlflow=mlflow)


def _show(bars: Progress, task: TaskID, name: str, step: Step) -> None:
    text = f"{name}: {_STAGES[step.stage]}"
    if step.stage == "train":
        text += f", epoch {step.epoch} of {step.epochs}"
        if step.loss is not None:
            text += f", loss {step.loss:.3f}"
    bars.update(task, description=text, completed=step.done, total=step.total)


def _print_outcome(
    outcome: Outcome, spec: Spec, folder: Path, overrides: Overrides, console: Console
) -> None:
    if outcome.skipped:
        console.print(f"[dim]{spec.id}: done before[/]", highlight=False)
    elif outcome.status == "done":
        console.print(f"[green]{spec.id}[/]: done in {outcome.seconds:.0f} s", highlight=False)
    else:
        reason = escape(outcome.reason or "")
        console.print(f"[red]{spec.id}[/]: failed: {reason}", highlight=False)
    for remark in outcome.remarks:
        console.print(f"  [yellow]{escape(remark)}[/]", highlight=False)
    if overrides.given() and spec.table != "own":
        command = escape(full_size_command(spec, folder))
        console.print(f"  [dim]at full size: {command}[/]", highlight=False, soft_wrap=True)
