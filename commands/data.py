"""`hilum data`: the Kaggle folder checked, as a person at a terminal sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from commands.problem import ProblemError
from commands.progress import progress
from training.kaggle import check
from training.kaggle.csvs import FolderError
from training.kaggle.folder import KaggleFolder, open_folder
from training.kaggle.problem import Problem, Severity


def check_data(folder: Path, console: Console) -> bool:
    """Check a Kaggle folder, every film decoded; print what it holds and what is wrong.

    Returns True where nothing is wrong.

    Raises:
        ProblemError: it is no such folder, or a part of it is missing or cannot be read.
    """
    opened = open_with_progress(folder, console)
    try:
        with progress(console, "Reading films") as tell:
            problems = check.check(opened, progress=tell)
    except FolderError as error:
        raise ProblemError(str(error)) from None
    _print_counts(check.count(opened), console)
    _print_problems(problems, console)
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if errors:
        kinds = "kind of error" if errors == 1 else "kinds of errors"
        console.print(f"\n[bold red]{errors} {kinds}[/] in {escape(str(folder))}.")
    else:
        console.print(f"\n[bold green]Nothing is wrong[/] in {escape(str(folder))}.")
    return not errors


def open_with_progress(folder: Path, console: Console) -> KaggleFolder:
    """Open a Kaggle folder, showing how far what is zipped is unpacked.

    Raises:
        ProblemError: it is no such folder, or a part of it is missing or cannot be read.
    """
    try:
        with progress(console, "Unpacking") as tell:
            return open_folder(folder, progress=tell)
    except FolderError as error:
        raise ProblemError(str(error)) from None


def _print_counts(counts: check.Counts, console: Console) -> None:
    table = Table(box=box.SIMPLE)
    table.add_column("")
    table.add_column("here", justify="right")
    table.add_column("complete set", justify="right", style="dim")
    for name in check.Counts.__slots__:
        here, full = getattr(counts, name), getattr(check.FULL_SET, name)
        table.add_row(name.replace("_", " "), f"{here:,}", f"{full:,}")
    console.print(table)


def _print_problems(problems: Sequence[Problem], console: Console) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for problem in problems:
        style = "red" if problem.severity is Severity.ERROR else "cyan"
        more = ", …" if problem.count > len(problem.examples) else ""
        where = f" ({', '.join(problem.examples)}{more})" if problem.examples else ""
        table.add_row(
            f"[{style}]{problem.severity}[/]",
            f"{problem.count:,}",
            f"{escape(problem.what)}[dim]{escape(where)}[/]\n→ {escape(problem.advice)}",
        )
    console.print(table)
