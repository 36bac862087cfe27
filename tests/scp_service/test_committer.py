"""Films that arrive together share a commit; a bad one takes no other with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from db.intake import Film, Outcome
from db.models import Instance, Task
from db.session import Database
from scp_service import committer as module
from scp_service.committer import Committer, UncertainError
from tests import peers
from tests.db.makers import film, rows


@pytest.fixture
def committer(database: Database) -> Iterator[Committer]:
    with closing(Committer(database)) as running:
        yield running


class Commits:
    """Counts a database's commits, and holds the first until it is told to go on."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.go_on = threading.Event()
        self.started = threading.Event()
        self._real = database.engine.dialect.do_commit
        monkeypatch.setattr(database.engine.dialect, "do_commit", self._commit)

    def _commit(self, connection: Any) -> None:
        self.count += 1
        self.started.set()
        assert self.go_on.wait(30)
        self._real(connection)


def waiting(committer: Committer) -> int:
    return committer._waiting.qsize()


def test_a_film_is_recorded_when_the_call_returns(database: Database, committer: Committer) -> None:
    made = film()
    assert committer.commit(made) is Outcome.NEW
    assert len(rows(database, Instance)) == len(rows(database, Task)) == 1
    assert committer.commit(replace(made, path="another")) is Outcome.DUPLICATE


def test_films_that_wait_together_share_one_commit(
    database: Database, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commits(database, monkeypatch)
    with ThreadPoolExecutor(11) as pool:
        first = pool.submit(committer.commit, film())
        assert commits.started.wait(10)
        others = [pool.submit(committer.commit, film()) for _ in range(10)]
        peers.wait_until(lambda: waiting(committer) == 10, "ten films that wait")
        commits.go_on.set()
        assert {each.result(10) for each in [first, *others]} == {Outcome.NEW}
    assert commits.count == 2
    monkeypatch.undo()
    assert len(rows(database, Instance)) == 11


def test_nobody_is_answered_before_the_commit(
    database: Database, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commits(database, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(committer.commit, film())
        assert commits.started.wait(10)
        assert not answer.done()
        commits.go_on.set()
        assert answer.result(10) is Outcome.NEW


def together(
    database: Database, committer: Committer, monkeypatch: pytest.MonkeyPatch, films: list[Film]
) -> list[Any]:
    """Have films recorded in one batch; return outcomes and errors in order."""
    commits = Commits(database, monkeypatch)

    def commit(made: Film) -> Any:
        try:
            return committer.commit(made)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(films) + 1) as pool:
        held = pool.submit(commit, film())
        assert commits.started.wait(10)
        answers = []
        for count, made in enumerate(films, start=1):
            answers.append(pool.submit(commit, made))
            peers.wait_until(lambda count=count: waiting(committer) == count, "the film to wait")
        commits.go_on.set()
        assert held.result(10) is Outcome.NEW
        return [each.result(10) for each in answers]


def bad_path(made: Film) -> Film:
    """Give a film the path of another one, which no two rows may share."""
    return replace(film(), path=made.path)


def bad_type(_: Film) -> Film:
    """Give a film a value that cannot be bound."""
    return replace(film(), size={"not": "a number"})  # type: ignore[arg-type]


@pytest.mark.parametrize("spoil", [bad_path, bad_type])
def test_one_bad_film_takes_no_other_with_it(
    database: Database,
    committer: Committer,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Film], Film],
) -> None:
    good = [film() for _ in range(4)]
    films = [good[0], good[1], spoil(good[0]), good[2], good[3]]
    answers = together(database, committer, monkeypatch, films)
    assert answers[:2] + answers[3:] == [Outcome.NEW] * 4
    assert isinstance(answers[2], SQLAlchemyError)
    monkeypatch.undo()
    assert {each.path for each in rows(database, Instance)} >= {each.path for each in good}
    assert len(rows(database, Instance)) == len(rows(database, Task)) == 5


def test_an_unforeseen_error_is_an_error_of_the_database_without_its_text(
    database: Database, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("CANARY^NAME")

    monkeypatch.setattr(module, "record_films", fail)
    with pytest.raises(SQLAlchemyError, match=r"recording failed \(ValueError\)"):
        committer.commit(film())
    monkeypatch.undo()
    assert committer.commit(film()) is Outcome.NEW, "the thread lives on"


class Broken:
    """Fails a database's commits after they were made, then lets nothing through for a while."""

    def __init__(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, *, answers_lost: int
    ) -> None:
        self._left = answers_lost
        self._real = database.engine.dialect.do_commit
        monkeypatch.setattr(database.engine.dialect, "do_commit", self._commit)

    def _commit(self, connection: Any) -> None:
        self._real(connection)
        if self._left:
            self._left -= 1
            raise OperationalError("COMMIT", {}, Exception("the connection broke"))


def test_a_lost_answer_to_a_commit_is_asked_for(
    database: Database, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = film()
    committer.commit(first)
    altered = film(
        study_instance_uid=first.study_instance_uid, sop_instance_uid=first.sop_instance_uid
    )
    Broken(database, monkeypatch, answers_lost=1)
    assert committer.commit(film()) is Outcome.NEW
    monkeypatch.undo()
    Broken(database, monkeypatch, answers_lost=1)
    assert committer.commit(altered) is Outcome.ALTERED
    monkeypatch.undo()
    assert len(rows(database, Instance)) == 3


def test_a_lost_answer_that_cannot_be_asked_for_is_neither_success_nor_failure(
    database: Database, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Broken(database, monkeypatch, answers_lost=2)
    with pytest.raises(UncertainError):
        committer.commit(film())
    monkeypatch.undo()
    assert len(rows(database, Instance)) == 1


def test_a_failure_before_the_commit_is_certain(
    database: Database, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(connection: Any) -> None:
        raise OperationalError("BEGIN", {}, Exception("down"))

    monkeypatch.setattr(database.engine.dialect, "do_begin", begin)
    with pytest.raises(OperationalError):
        committer.commit(film())


def test_what_waits_is_committed_before_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = Committer(database)
    commits = Commits(database, monkeypatch)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(committer.commit, film())
        assert commits.started.wait(10)
        second = pool.submit(committer.commit, film())
        peers.wait_until(lambda: waiting(committer) == 1, "the second film")
        ending = pool.submit(committer.close)
        assert not ending.done()
        commits.go_on.set()
        ending.result(10)
        assert first.result(10) is second.result(10) is Outcome.NEW
