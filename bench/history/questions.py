"""What the console asks the database: each question as its page puts it, with changing values."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sqlalchemy.orm import Session

from db import history
from db.session import Database
from db.standing import standing


@dataclass(frozen=True, slots=True)
class Question:
    """One question: `ask` puts it, at a moment that is the present, with values by chance."""

    name: str
    ask: Callable[[Session, datetime, Random], object]


def asked(database: Database, question: Question, times: int) -> list[float]:
    """Ask a question once to warm up and then `times` times; return the milliseconds it took."""
    chance = Random(question.name)
    taken = []
    for number in range(times + 1):
        with database.read() as session:
            now = database.now(session)
            begin = time.perf_counter()
            question.ask(session, now, chance)
            if number:
                taken.append(1000 * (time.perf_counter() - begin))
    return taken


def _first(session: Session, now: datetime, chance: Random) -> object:
    return history.studies(session, history.Filter(since=now - timedelta(hours=24)), limit=50)


QUESTIONS = (
    Question("worklist: first page", _first),
    Question("what waits", lambda session, now, chance: standing(session)),
)
