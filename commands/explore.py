"""`hilum explore`: the report's exploration of the data, as figures, tables and one HTML page."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from commands.data import open_with_progress
from commands.problem import ProblemError
from commands.progress import progress
from training.kaggle.csvs import FolderError
from training.kaggle.exploration import make_page, write_page
from training.kaggle.findings import Verdict
from training.kaggle.page import Page
from training.kaggle.sources import has_tables_alone, survey_folder, survey_tables
from training.kaggle.survey import Survey

_STYLES = {Verdict.HOLDS: "green", Verdict.FAILS: "red", Verdict.UNTOLD: "dim"}


def explore(source: Path, out: Path, console: Console) -> Path:
    """Explore a Kaggle folder, or a folder of its tables alone; return the HTML page's path.

    In `out`: `exploration.html` (self-contained), `exploration.md`, `figures/`, and, of a Kaggle
    folder, `metadata.parquet`, which is made once and resumed after a kill.

    Raises:
        ProblemError: the folder is neither, a part is missing, or `out` cannot be written.
    """
    try:
        survey = _survey(source, out, console)
        with progress(console, "Drawing") as tell:
            page = make_page(survey, datetime.now(UTC), tell)
        file = write_page(page, out)
    except FolderError as error:
        raise ProblemError(str(error)) from None
    _print_claims(page, console)
    console.print(f"\nWritten to [bold]{escape(str(file))}[/].", highlight=False)
    return file


def _survey(source: Path, out: Path, console: Console) -> Survey:
    if source.is_dir() and has_tables_alone(source):
        return survey_tables(source)
    folder = open_with_progress(source, console)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"{out}: cannot be made: {error.strerror}") from None
    with progress(console, "Describing films") as tell:
        return survey_folder(folder, out / "metadata.parquet", tell)


def _print_claims(page: Page, console: Console) -> None:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for name in ("verdict", "claim", "here"):
        table.add_column(name)
    for claim, finding in page.claims:
        table.add_row(
            f"[{_STYLES[finding.verdict]}]{finding.verdict}[/]",
            escape(claim.said),
            escape(finding.value),
        )
    console.print(table)
    tally = Counter(finding.verdict for _, finding in page.claims)
    console.print(", ".join(f"{verdict}: {tally[verdict]}" for verdict in Verdict))
