"""`hilum report` and `hilum submission`: the experiments' results, and the challenge's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from commands.data import open_with_progress
from commands.problem import ProblemError
from commands.progress import progress
from inference.bundle import load_bundle
from training.experiments.spec import SpecError
from training.kaggle.csvs import FolderError
from training.kaggle.folder import KaggleFolder
from training.results import page
from training.results.runs import RECORD, RunError
from training.results.submission import (
    Predicted,
    check_submission,
    from_bundle,
    from_run,
    sample_ids,
    write_submission,
)

_SHOWN = 20


def report(runs: Path, out: Path, console: Console, *, folder: Path | None = None) -> Path:
    """Write the report's tables beside ours into the folder `out`; return the HTML page.

    With the Kaggle folder, intervals are by patient, box results against all boxes, and films with
    their boxes are drawn.

    Raises:
        ProblemError: there is no such folder of runs, or an experiment's file or the Kaggle folder
            cannot be used.
    """
    if not runs.is_dir():
        raise ProblemError(f"{runs}: no such folder; `hilum train` makes runs, in runs/experiments")
    opened = open_with_progress(folder, console) if folder is not None else None
    try:
        with progress(console, "Drawing") as tell:
            written = page.report(runs, out, folder=opened, tell=tell)
    except (SpecError, FolderError) as error:
        raise ProblemError(str(error)) from None
    console.print(
        f"Written: {escape(str(written))}, {page.MARKDOWN} and {page.FIGURES}/ beside it."
    )
    return written


def submission(folder: Path, bundle: Path | None, out: Path, console: Console) -> bool:
    """Write the challenge's submission for a Kaggle folder's test films, and check it.

    `bundle` is a model bundle's folder, or the folder of a box run, whose predictions are then
    taken; None is the packaged bundle. Returns True where every film was read and nothing is wrong
    with the file.

    Raises:
        ProblemError: the folder has no test films, or the run cannot be used.
        BundleError: the bundle cannot be used.
    """
    opened = open_with_progress(folder, console)
    films = _films(opened)
    unread: list[Predicted] = []
    boxes = 0

    def watched() -> Iterator[Predicted]:
        nonlocal boxes
        with progress(console, "Reading films") as tell:
            for done, film in enumerate(_predicted(opened, films, bundle), 1):
                boxes += len(film.boxes)
                if film.problem is not None:
                    unread.append(film)
                tell(done, len(films))
                yield film

    try:
        write_submission(out, watched())
        problems = check_submission(out, opened.sample_submission or out)
    except (RunError, FolderError) as error:
        raise ProblemError(str(error)) from None
    console.print(f"{len(films):,} films, {boxes:,} boxes: {escape(str(out))}", highlight=False)
    if opened.sample_submission is None:
        console.print("[yellow]The folder has no sample submission to check it against.[/]")
    if unread:
        console.print(
            f"[yellow]{len(unread):,} films have an empty line, as they were not read:[/]"
        )
        for film in unread[:_SHOWN]:
            console.print(
                f"  {escape(film.patient_id)}: {escape(film.problem or '')}", highlight=False
            )
    for problem in problems[:_SHOWN]:
        console.print(f"[red]{escape(problem)}[/]", highlight=False)
    return not problems and not unread


def _films(opened: KaggleFolder) -> list[str]:
    """List the films to predict: the sample's, in its order, else those that have an image."""
    try:
        sample = opened.sample_submission
        films = sample_ids(sample) if sample is not None else list(opened.test_images)
    except FolderError as error:
        raise ProblemError(str(error)) from None
    if not films:
        raise ProblemError(
            f"{opened.path}: no test films are in it; put stage_2_test_images there, and"
            " stage_2_sample_submission.csv"
        )
    return films


def _predicted(opened: KaggleFolder, films: list[str], source: Path | None) -> Iterator[Predicted]:
    """Predict the films in order."""
    if source is not None and (source / RECORD).is_file():
        yield from from_run(source, films)
        return
    images = {film: opened.test_images[film] for film in films if film in opened.test_images}
    read = from_bundle(images, load_bundle(source))
    for film in films:
        if film in images:
            yield next(read)
        else:
            yield Predicted(film, (), "there is no image of it")
