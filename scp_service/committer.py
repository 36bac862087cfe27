"""One thread at a time commits for all: films that arrive meanwhile share the next commit."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future

from sqlalchemy.exc import SQLAlchemyError

from db.intake import Film, Outcome, record_films, recorded
from db.session import Database

_MOST_AT_ONCE = 64

_Entry = tuple[Film, Future[Outcome]]


class UncertainError(Exception):
    """The answer to a commit was lost, and the database cannot be asked what became of it."""


class Committer:
    """Records films; `commit` returns only when the film's transaction is durable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._turn = threading.Lock()

    def commit(self, film: Film) -> Outcome:
        """Record a film and wait until that is durable.

        Raises:
            SQLAlchemyError: it could not be recorded; nothing of it is kept.
            UncertainError: it may have been recorded: its file must be kept for now.
        """
        done: Future[Outcome] = Future()
        self._waiting.put((film, done))
        while not done.done():
            with self._turn:
                # Whose turn it is may have committed it along with its own.
                self._commit_what_waits()
        return done.result()

    def close(self) -> None:
        """Commit what waits, and wait for it."""
        with self._turn:
            self._commit_what_waits()

    def _commit_what_waits(self) -> None:
        batch: list[_Entry] = []
        while len(batch) < _MOST_AT_ONCE and not self._waiting.empty():
            batch.append(self._waiting.get())
        if batch:
            self._commit(batch)

    def _commit(self, films: list[_Entry], *, doubt: bool = False) -> None:
        """Record films in one transaction; `doubt`: an earlier try may have been committed."""
        try:
            with self._database.write() as session:
                now = self._database.now(session)
                outcomes = record_films(session, [film for film, _ in films], now)
                session.flush()
                doubt = True
        except Exception as error:
            if len(films) > 1:
                # One bad film must not take the others with it: each gets a transaction of its own.
                for entry in films:
                    self._commit([entry], doubt=doubt)
            else:
                self._fail(*films[0], error, doubt=doubt)
            return
        for (_, done), outcome in zip(films, outcomes, strict=True):
            done.set_result(outcome)

    def _fail(self, film: Film, done: Future[Outcome], error: Exception, *, doubt: bool) -> None:
        """Hand out an error, unless the film turns out to be recorded all the same."""
        if doubt:
            try:
                with self._database.read() as session:
                    outcome = recorded(session, film.path)
            except SQLAlchemyError:
                done.set_exception(UncertainError("the database does not answer"))
                return
            if outcome is not None:
                done.set_result(outcome)
                return
        if not isinstance(error, SQLAlchemyError):
            error = SQLAlchemyError(f"recording failed ({type(error).__name__})")
        done.set_exception(error)
