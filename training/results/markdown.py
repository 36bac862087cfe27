"""The tables, the mistakes and the figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from training.results.mistake import Mistake
from training.results.rows import Status
from training.results.table import Line, Section


def markdown(
    title: str,
    notes: Sequence[str],
    tables: Sequence[Section],
    wrong: Sequence[Mistake],
    figures: Mapping[str, str],
) -> str:
    """Write everything as Markdown; `figures` gives the path of an experiment's figure by id."""
    text = [f"# {title}", "", *(f"{note}\n" for note in notes)]
    for section in tables:
        text += [f"## {section.title}", "", f"Figures: {section.form}.", ""]
        head = ("row", "report", "ours", *section.heads, "films", "epochs", "status", "remarks")
        text += _rows_of(head, [_cells(each) for line in section.lines for each in _all(line)])
    text += ["## What the report got wrong", ""]
    for number_, mistake in enumerate(wrong, 1):
        text += [f"### {number_}. {mistake.title}", "", mistake.told, ""]
        text += [f"{sentence}\n" for sentence in mistake.effect]
        text += _rows_of(mistake.grid.head, mistake.grid.rows) if mistake.grid else []
    if figures:
        text += ["## Figures", ""]
        for name, path in figures.items():
            text += [f"### {name}", "", f"![{name}]({path})", ""]
    return "\n".join(text)


def _all(line: Line) -> Iterator[Line]:
    yield line
    yield from (each for each in line.variants if each.status is not Status.NOT_RUN)


def _cells(line: Line) -> tuple[str, ...]:
    status = f"{line.status}: {line.reason}" if line.reason else str(line.status)
    films = " → ".join(each for each in line.films if each)
    epochs = " → ".join(each for each in line.epochs if each)
    name = f"{line.group}, {line.name}" if line.group else line.name
    if line.name.startswith("@"):
        name = f"↳ {line.name}"
    return (
        name, line.printed, line.ours, *line.figures, films, epochs, status, " ".join(line.remarks)
    )  # fmt: skip


def _rows_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(_safe(cell) for cell in line) + " |" for line in lines] + [""]


def _safe(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")
