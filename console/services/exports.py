"""What leaves as a file: lists of studies, and the films that verdicts speak of.

Each is made while it is sent: no request waits for the whole of it, and none of it is kept here.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.pseudonym import pseudonym
from audit.trail import folder_of
from console.context import Context
from console.pictures.training_set import TrainingSet
from console.security.audited import acted, exported
from console.security.who import Who
from console.services.rows import csv_lines, json_parts, plain
from db import verdicts
from db.worklist import Filter, Order, all_pages

_PIECE = 65_536


@dataclass(frozen=True, slots=True)
class Form:
    """How a list is written down."""

    name: str
    written: Callable[[Iterable[Mapping[str, Any]]], Iterator[str]]


CSV = Form("CSV", csv_lines)
JSON = Form("JSON", json_parts)


def studies(
    context: Context,
    who: Who,
    wanted: Filter,
    order: Order,
    asked: Mapping[str, str],
    form: Form,
    *,
    what: str,
) -> Iterator[str]:
    """Yield all studies that fit, in pieces; what has left, whole or not, is told to the audit
    trail, with what was `asked` for, and of `what` list it is."""
    count = 0

    def everything() -> Iterator[Mapping[str, Any]]:
        nonlocal count
        for page in all_pages(context.database, wanted, order):
            with context.database.read() as session:
                found = plain(session, page)
            # Not inside the transaction: a slow reader would keep writers waiting.
            yield from found
            count += len(page)

    try:
        yield from _pieces(form.written(everything()))
    finally:
        exported(context, who, asked, count, what=f"{what}, {form.name}")


def training_set_zip(
    context: Context, who: Who, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[bytes]:
    """Yield the films that verdicts of a period speak of, as a training set in a ZIP; what has
    left, whole or not, is told to the audit trail."""
    folder = folder_of(context.settings)
    with context.database.read() as session:
        films = list(verdicts.labelled(session, since=since, until=until))
    made = TrainingSet(
        films, context.files, lambda text: pseudonym(folder, text), context.pictures.pool
    )
    return _told(context, who, made)


def _told(context: Context, who: Who, made: TrainingSet) -> Iterator[bytes]:
    whole = False

    def files() -> Iterator[tuple[str, bytes]]:
        yield from made.files()
        yield "README.txt", f"{made.written.sentence}\n".encode()

    try:
        yield from zipped(files())
        whole = True
    finally:
        end = "" if whole else " It broke off there."
        sentence = f"Films with verdicts were exported: {made.written.sentence}{end}"
        acted(context, who, sentence, "verdicts")


def zipped(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield a ZIP of files (path and bytes), each as soon as it is there.

    Where the files break off, so does the ZIP: without its end nobody takes it for a whole one.
    """
    sink = _Sink()
    archive = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED)  # type: ignore[call-overload]
    for name, data in files:
        archive.writestr(name, data)
        yield sink.taken()
    archive.close()
    yield sink.taken()


class _Sink:
    """Takes what a ZIP is made of until it is fetched; it cannot go back, as a connection."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Do nothing: what was written is fetched."""

    def taken(self) -> bytes:
        found, self._parts = b"".join(self._parts), []
        return found


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    """Join lines to pieces that are worth being sent by themselves."""
    waiting: list[str] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= _PIECE:
            yield "".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting)
