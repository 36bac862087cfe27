"""The whole comparison as one HTML page that needs nothing else, and as Markdown beside it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from training.experiments.spec import load_all
from training.kaggle.folder import KaggleFolder
from training.results import films, plots
from training.results.markdown import markdown
from training.results.measured import Boxed, Classified, Known, known_from
from training.results.mistakes import mistakes
from training.results.rows import Row, build_rows, strangers
from training.results.runs import BoxPredictions, Detections, load_runs
from training.results.table import Line, sections, summary
from training.results.template import PAGE, STYLE

TITLE = "The report's experiments, printed and measured"
HTML, MARKDOWN, FIGURES = "report.html", "report.md", "figures"


@dataclass(frozen=True, slots=True)
class _Picture:
    title: str
    name: str
    png: bytes

    @property
    def data(self) -> str:
        """The picture for an HTML page."""
        return base64.b64encode(self.png).decode()


def report(
    runs: Path,
    out: Path,
    *,
    folder: KaggleFolder | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write `report.html`, `report.md` and `figures/` into the folder `out`; return the page.

    Args:
        runs: Folder of run folders; may be empty or missing, and every row then says "not run".
        out: Where to write; what is there under these names is replaced.
        folder: The Kaggle folder, which tells patients, all boxes and images; None does without.
        tell: Told how many runs have been drawn, of how many.

    Raises:
        SpecError: an experiment's file is not valid.
    """
    known = known_from(folder) if folder is not None else Known()
    found = load_runs(runs)
    rows = build_rows(load_all(), found, known)
    notes = list(_notes(rows, known, strangers(rows, found)))
    tables, wrong = sections(rows), mistakes(rows, known)
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    pictures: dict[str, list[_Picture]] = {}
    measured = [each for row in rows for each in (row, *row.variants) if each.measured]
    for done, each in enumerate(measured, 1):
        pictures[each.spec.id] = list(_pictures(each, folder))
        for picture in pictures[each.spec.id]:
            (out / FIGURES / picture.name).write_bytes(picture.png)
        tell(done, len(measured))
    paths = {
        f"{name}: {picture.title}": f"{FIGURES}/{picture.name}"
        for name, drawn in pictures.items()
        for picture in drawn
    }
    _write(out / MARKDOWN, markdown(TITLE, notes, tables, wrong, paths))
    page = _environment().from_string(PAGE)
    _write(
        out / HTML,
        page.render(
            style=STYLE, title=TITLE, notes=notes, sections=tables, mistakes=wrong, figures=pictures
        ),
    )
    return out / HTML


def _notes(rows: Sequence[Row], known: Known, strange: Sequence[str]) -> Iterable[str]:
    yield summary(rows)
    used = [row.run.record.films for row in rows if row.run is not None]
    most = max((each.train + each.val + each.test for each in used), default=0)
    if 0 < most < 4_000:
        yield (
            f"Our runs used {most:,} films at most, the report's 4,500 to 10,000: ours show that"
            " every row runs and what its mistakes do, and are not comparable with its figures."
        )
    yield (
        "Intervals are of 95 %, by bootstrap over patients."
        if known.patients
        else "Intervals are of 95 %, by bootstrap over films; they are too narrow where a patient"
        " has several. Name the Kaggle folder to draw by patient where it has nih_patients.csv."
    )
    if strange:
        yield f"Not shown, as they are runs of no experiment known here: {', '.join(strange)}."


def _pictures(row: Row, folder: KaggleFolder | None) -> Iterable[_Picture]:
    measured, run = row.measured, row.run
    if isinstance(measured, Classified) and run is not None:
        figure = plots.classifier_figure(
            measured.confusion,
            measured.roc,
            measured.precision_recall,
            measured.auc,
            run.history,
        )
        title = "loss, accuracy, confusion matrix, ROC, precision and recall"
        yield _Picture(title, f"{row.spec.id}.png", plots.png(figure))
    elif isinstance(measured, Boxed) and run is not None:
        figure = plots.box_figure(measured.iou, measured.constant_iou, run.history)
        yield _Picture("loss, IoU by epoch and by film", f"{row.spec.id}.png", plots.png(figure))
    if folder is None or run is None:
        return
    shown: list[films.Candidate] = []
    if isinstance(measured, Boxed) and isinstance(run.predictions, BoxPredictions):
        shown = films.candidates(run.predictions.of(measured.split))
    elif isinstance(run.predictions, Detections):
        shown = films.candidates(run.predictions)
    chosen = films.choose(shown, folder.train_images)
    if chosen:
        drawn = plots.png(films.films_figure(chosen), colours=200)
        yield _Picture("films with true and predicted boxes", f"{row.spec.id}-films.png", drawn)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["code"] = _code
    environment.filters["lines"] = _lines
    environment.filters["grouped"] = _grouped
    return environment


def _code(text: str) -> Markup:
    """Set what stands between backticks as code; everything is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _lines(text: str, separator: str) -> Markup:
    """Set what comes after the first separator on a line of its own, small if in brackets."""
    first, _, rest = text.partition(separator)
    if separator.endswith("("):
        return escape(first) + (
            Markup("<br><small>{}</small>").format(rest.rstrip(")")) if rest else ""
        )
    return escape(first) + (Markup("<br>{}").format(rest) if rest else "")


def _grouped(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    return [(name, list(members)) for name, members in groupby(lines, key=lambda line: line.group)]


def _write(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)
