"""`hilum evaluate`: how well a bundle does, as a page, JSON and a table of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from commands.problem import ProblemError
from commands.progress import progress
from inference.bundle import Bundle, load_bundle
from inference.prepare import Limits
from settings import Settings
from training.evaluation.figures import key_figures
from training.evaluation.films import is_bundle
from training.evaluation.job import EvaluationError, Setting, evaluate_folder, evaluate_kept
from training.evaluation.report import CSV, JSON, Report, write_report
from training.tables import TableError


def evaluate(
    paths: Sequence[Path],
    settings: Settings,
    out: Path,
    console: Console,
    *,
    out_of_fold: bool = False,
    against: Path | None = None,
    draws: int = 1000,
) -> Report:
    """Evaluate a bundle, print its key figures, and write the report into the folder `out`.

    Args:
        paths: A bundle's folder, or none for the packaged one, and a folder of labelled films; with
            `out_of_fold` any number of folders: those that the bundle was trained on.
        settings: How the service reads films.
        out: Folder of the report.
        console: Where to print.
        out_of_fold: Judge the out-of-fold predictions that the bundle keeps.
        against: Another bundle, to compare with.
        draws: Bootstrap samples of an interval.

    Raises:
        ProblemError: the paths are no bundle and folder, or nothing can be evaluated.
        BundleError: a bundle cannot be used.
    """
    bundle, folders = _sort(paths)
    other = load_bundle(against) if against is not None else None
    worker = settings.worker
    setting = Setting(
        Limits(worker.max_pixels, settings.eligibility), worker.runtime, worker.threads, draws
    )
    try:
        if out_of_fold:
            with progress(console, "Decoding films") as tell:
                report = evaluate_kept(bundle, setting, folders=folders, against=other, tell=tell)
        elif len(folders) != 1:
            raise ProblemError("one folder of labelled films is needed, or --out-of-fold")
        else:
            with progress(console, "Reading films") as tell:
                report = evaluate_folder(bundle, folders[0], setting, against=other, tell=tell)
    except (TableError, EvaluationError) as error:
        raise ProblemError(str(error)) from None
    written = write_report(out, report)
    _print(report, console)
    console.print(f"Written: {escape(str(written))}, {JSON} and {CSV} beside it.")
    return report


def _sort(paths: Sequence[Path]) -> tuple[Bundle, list[Path]]:
    bundles = [path for path in paths if is_bundle(path)]
    folders = [path for path in paths if not is_bundle(path)]
    for path in folders:
        if not path.is_dir():
            raise ProblemError(f"{path}: no such folder")
    if len(bundles) > 1:
        raise ProblemError("give one bundle (a folder with bundle.json) at most")
    return load_bundle(bundles[0] if bundles else None), folders


def _print(report: Report, console: Console) -> None:
    if report.leakage is not None and report.leakage.remark:
        console.print(f"[yellow]{escape(report.leakage.remark)}[/]")
    refused = sum(report.told.refused.values())
    if refused:
        console.print(f"[yellow]{refused} films were refused and are in no figure.[/]")
    table = Table(box=box.SIMPLE, title=f"{report.bundle}, {report.kind}", title_justify="left")
    for name in ("figure", "value", "95 % interval"):
        table.add_column(name, no_wrap=True)
    table.add_column("what")
    for name, metric in {**key_figures(report.told), **report.others}.items():
        interval = f"{metric.low:.3f} to {metric.high:.3f}"
        table.add_row(name, f"{metric.value:.3f}", interval, escape(metric.of))
    console.print(table)
    if report.verdict:
        warned = report.differing or report.left_out
        console.print(escape(report.verdict), style="yellow" if warned else None)
    if report.comparison is not None:
        gap = report.comparison.difference
        console.print(
            f"AUC against {escape(report.comparison.other)}: {gap.difference.value:+.3f}"
            f" ({gap.difference.low:+.3f} to {gap.difference.high:+.3f}), p = {gap.p:.3g}",
            highlight=False,
        )
