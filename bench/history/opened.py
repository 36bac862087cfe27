"""Pages opened as a reader's browser does, and the time that each takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from bench.common import median
from bench.history.questions import Question
from console.context import Context
from db.session import Database
from db.states import UserRole
from tests.console.browsing import PASSWORD, Person, add_user, browser, log_in, running_console

_NAME = "bench"


def opened(
    database: Database, questions: Sequence[Question], studies: int, times: int
) -> dict[str, list[float]]:
    """Open every page once to warm up and then `times` times; return milliseconds by its name.

    Raises:
        RuntimeError: a page is not answered with 200.
    """
    with (
        tempfile.TemporaryDirectory(prefix="hilum-bench-") as folder,
        running_console(database, Path(folder)) as context,
    ):
        _reader(context)
        with browser(context) as client:
            log_in(client, _NAME)
            reader = Person(client, _NAME)
            return {each.name: _times(reader, each, context, studies, times) for each in questions}


def _reader(context: Context) -> None:
    """Add the reader, who may be there from an earlier run."""
    from db.accounts import find

    with context.database.read() as session:
        there = find(session, _NAME)
    if there is None:
        add_user(context, _NAME, UserRole.READER, PASSWORD)


def _times(
    reader: Person, question: Question, context: Context, studies: int, times: int
) -> list[float]:
    chance, now, taken = Random(question.name), context.now(), []
    for number in range(times + 1):
        address = question.address(chance, now, studies)
        begin = time.perf_counter()
        answer = reader.get(address)
        if number:
            taken.append(1000 * (time.perf_counter() - begin))
        if answer.status_code != 200:
            raise RuntimeError(f"{question.name}: {answer.status_code} for {address}")
    print(f"{median(taken):8.1f} {max(taken):8.1f} ms  {question.name}", flush=True)
    return taken
