"""The report's exploration (its section 1.6), made from a survey: figures, tables, one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from training.kaggle import (
    figures_boxes,
    figures_groups,
    figures_numbers,
    figures_pairs,
    tables,
)
from training.kaggle.claims import judge
from training.kaggle.csvs import FolderError
from training.kaggle.page import Page, Section, as_markdown, html
from training.kaggle.style import Drawing, look, percent
from training.kaggle.survey import Survey
from training.kaggle.tables import DataTable
from training.kaggle.unpack import Progress

Draw = Callable[[Survey], list[Drawing]]
Tabulate = Callable[[Survey], DataTable]

SECTIONS: tuple[tuple[str, str, Sequence[Tabulate], Sequence[Draw]], ...] = (
    (
        "labels",
        "Classes and targets",
        (tables.counts, tables.shares, tables.class_by_target, tables.merge),
        (figures_groups.pies, figures_groups.class_against_target),
    ),
    (
        "groups",
        "Sex, age and view",
        (tables.groups, tables.old_ages),
        (figures_groups.groups, figures_numbers.ages),
    ),
    (
        "boxes",
        "Boxes",
        (tables.boxes_per_film,),
        (
            figures_boxes.box_centres,
            figures_boxes.box_map,
            figures_boxes.box_sizes,
            figures_boxes.films_with_boxes,
        ),
    ),
    (
        "numbers",
        "Numeric columns",
        (tables.numbers, tables.single_valued),
        (
            figures_pairs.pair_plots,
            figures_numbers.correlation_plot,
            figures_numbers.heat_map,
            figures_numbers.box_plots,
        ),
    ),
)
"""The page's parts: id, title, tables and figures."""


def make_page(survey: Survey, made: datetime, progress: Progress | None = None) -> Page:
    """Draw every figure, fill every table and check every claim."""
    total = sum(len(draws) for *_, draws in SECTIONS)
    done = 0
    sections = []
    for id_, title, tabulates, draws in SECTIONS:
        drawings: list[Drawing] = []
        for draw in draws:
            with look():
                drawings += draw(survey)
            done += 1
            if progress is not None:
                progress(done, total)
        sections.append(Section(id_, title, [each(survey) for each in tabulates], drawings))
    films = survey.films
    facts = (
        ("films", f"{len(films):,}"),
        ("positive films", f"{int(films.target.sum()):,} · {percent(float(films.target.mean()))}"),
        ("boxes", f"{len(survey.boxes):,}"),
        ("label rows", f"{len(survey.label_rows):,}"),
    )
    return Page(
        survey.name,
        survey.is_complete,
        bool(survey.paths),
        made,
        facts,
        judge(survey),
        sections,
    )


def write_page(page: Page, out: Path) -> Path:
    """Write `exploration.html` (self-contained), `exploration.md` and `figures/*.png`.

    Returns the HTML file's path.

    Raises:
        FolderError: the folder cannot be written.
    """
    figures = out / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
        for section in page.sections:
            for drawing in section.drawings:
                (figures / f"{drawing.id}.png").write_bytes(drawing.png)
        (out / "exploration.md").write_text(as_markdown(page, figures.name), encoding="utf-8")
        file = out / "exploration.html"
        file.write_text(html(page), encoding="utf-8")
    except OSError as error:
        raise FolderError(f"{out}: cannot be written: {error.strerror or error}") from None
    return file
