"""One thread that commits for all associations: films that arrive together share one commit."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future

from sqlalchemy.exc import SQLAlchemyError

from db.intake import Film, Outcome, record_film
from db.session import Database

_MOST_AT_ONCE = 64


class Committer:
    """Records films; `commit` returns only when the film's transaction is durable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: queue.SimpleQueue[tuple[Film, Future[Outcome]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def commit(self, film: Film) -> Outcome:
        """Record a film and wait until that is durable.

        Raises:
            SQLAlchemyError: it could not be recorded; nothing of it is kept.
        """
        done: Future[Outcome] = Future()
        self._waiting.put((film, done))
        return done.result()

    def close(self) -> None:
        """Commit what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            batch = [self._waiting.get()]
            while len(batch) < _MOST_AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get())
            closing = None in batch
            films = [entry for entry in batch if entry is not None]
            if films:
                self._commit(films)

    def _commit(self, films: list[tuple[Film, Future[Outcome]]]) -> None:
        try:
            with self._database.write() as session:
                now = self._database.now(session)
                outcomes = [record_film(session, film, now) for film, _ in films]
        except Exception as error:
            # One bad film must not take the others with it: each gets a transaction of its own.
            if len(films) > 1:
                for entry in films:
                    self._commit([entry])
            else:
                films[0][1].set_exception(
                    error
                    if isinstance(error, SQLAlchemyError)
                    else SQLAlchemyError(f"recording failed ({type(error).__name__})")
                )
            return
        for (_, done), outcome in zip(films, outcomes, strict=True):
            done.set_result(outcome)
