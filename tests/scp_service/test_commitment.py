"""Storage commitment both ways: what is promised is true, and no transaction is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, SecondaryCaptureImageStorage
from pynetdicom import evt

from db import commitments
from db.files import FileStore
from db.models import CommitmentRequest, Delivery, Event, Instance
from db.session import Database
from db.states import DeliveryState, Subject
from scp_service import deliver, store_scu
from scp_service.commitment import answering, asking
from scp_service.store_scu import Peer
from settings import Settings
from tests import peers
from tests.db.makers import RunningClock, film, new_report, reported_study, rows
from tests.scp_service.committing import (
    IMPLICIT,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    AskingPeer,
    CommittingPacs,
)
from tests.scp_service.films import cr
from tests.scp_service.results import kept
from tests.scp_service.running import associated, configured, listener, status

# pynetdicom drops the socket of a connection that failed without closing it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

COMMITTED, SENT = DeliveryState.COMMITTED, DeliveryState.SENT


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


@pytest.fixture
def database(fresh_sqlite: Callable[[], str], clock: RunningClock) -> Iterator[Database]:
    with closing(Database(fresh_sqlite(), clock=clock)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(deliver, "_LINGER_SECONDS", 0.05)
    monkeypatch.setattr(deliver, "_LANES_POLL_SECONDS", 0.05)
    monkeypatch.setattr(asking, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(answering, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(answering, "_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(commitments, "_ANSWER_AGAIN_SECONDS", 0.1)


@pytest.fixture
def not_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no answer comes over the same association, none is waited for."""
    monkeypatch.setattr(asking, "_LINGER_SECONDS", 0.2)


# What we ask of destinations -----------------------------------------------------------------


@pytest.fixture
def work(database: Database, store: FileStore, clock: RunningClock) -> Work:
    return Work(database, store, clock)


class Work:
    """Reported studies, and what became of their results."""

    def __init__(self, database: Database, store: FileStore, clock: RunningClock) -> None:
        self.database, self.store, self.clock = database, store, clock

    def study(self, lane: str = "pacs") -> None:
        """Have a study reported, with an SR and an overlay for a destination."""
        results = [kept(self.store, kind) for kind in ("sr", "sc")]
        reported_study(
            self.database,
            self.clock,
            film(),
            made=new_report(*results),
            profiles={lane: ("sr", "sc")},
        )

    @contextmanager
    def delivering(
        self, pacs: CommittingPacs, *, returning: bool = False, **delivery: object
    ) -> Iterator[Settings]:
        """Deliver to `pacs`, and ask it for commitment, until the end of the block.

        `returning`: it is a peer that results return to.
        """
        who = {"ae_title": "PACS", "port": pacs.port, "commit": True}
        values: dict[str, Any] = {
            "delivery.backoff_seconds": 0.05,
            "delivery.backoff_max_seconds": 0.1,
            "peers" if returning else "destinations": [
                {**who, "return_results": True}
                if returning
                else {**who, "name": "pacs", "host": "127.0.0.1"}
            ],
            **{f"delivery.{key}": value for key, value in delivery.items()},
        }
        settings = configured(self.store.root, **values)
        stop = threading.Event()
        thread = threading.Thread(
            target=deliver.deliver_all,
            args=(settings, self.database, self.store, stop, "deliver@test:1"),
        )
        thread.start()
        try:
            yield settings
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

    def states(self) -> list[DeliveryState]:
        return [each.state for each in rows(self.database, Delivery)]

    def wait_until_all(self, state: DeliveryState, count: int = 2) -> None:
        peers.wait_until(
            lambda: self.states() == [state] * count, f"{count} to be {state}", seconds=60
        )

    def told(self) -> list[tuple[str, str | None]]:
        """Return the events of the first delivery."""
        first = rows(self.database, Delivery)[0].id
        return [
            (each.state, each.reason)
            for each in rows(self.database, Event)
            if each.subject is Subject.DELIVERY and each.subject_id == first
        ]


def test_a_receipt_over_the_same_association_is_in_the_history(work: Work) -> None:
    with CommittingPacs() as pacs, work.delivering(pacs):
        work.study()
        work.wait_until_all(COMMITTED)
        assert work.told() == [("pending", None), ("sent", None), ("committed", None)]
        assert sorted(_asked(pacs)) == sorted(pacs.stored)
        peers.wait_until(lambda: len(pacs.statuses) == len(pacs.requests), "the last response")
        assert set(pacs.statuses) == {0x0000}


@pytest.mark.usefixtures("not_answered_at_once")
def test_a_receipt_may_come_later_to_our_listener_from_another_ae(work: Work) -> None:
    archive = {"ae_title": "ARCHIVE", "address": "127.0.0.1"}
    with CommittingPacs("never", calling="ARCHIVE") as pacs:
        with work.delivering(pacs):
            work.study()
            peers.wait_until(
                lambda: all(each.transaction_uid for each in rows(work.database, Delivery)),
                "all to be asked for",
            )
            peers.wait_until(lambda: len(_asked(pacs)) == 2, "the requests")
        # All has ended and begun again; the transaction is still known.
        with listener(work.database, work.store, peers=[archive]) as settings:
            for request in pacs.requests:
                assert pacs.call(settings.listener.port, *pacs.verdict(request)) == 0x0000
        assert work.states() == [COMMITTED, COMMITTED]


@pytest.mark.usefixtures("not_answered_at_once")
def test_a_sender_is_asked_to_commit_itself_to_what_returns_to_it(work: Work) -> None:
    with CommittingPacs("never") as pacs:
        with work.delivering(pacs, returning=True):
            work.study("PACS@127.0.0.1")
            peers.wait_until(lambda: len(_asked(pacs)) == 2, "the requests")
            work.wait_until_all(SENT)
        pacs.answers = "same"
        # No delivery waits any more, and nobody has forgotten that it owes us its word.
        work.clock.move(hours=2)
        with work.delivering(pacs, returning=True):
            work.wait_until_all(COMMITTED)


@pytest.mark.usefixtures("not_answered_at_once")
def test_a_destination_reports_without_being_a_peer_and_may_not_send_films(work: Work) -> None:
    with CommittingPacs("never") as pacs:
        to_pacs = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port}
        with listener(
            work.database,
            work.store,
            peers=[{"ae_title": "OTHER", "address": "10.0.0.1"}],
            destinations=[{**to_pacs, "commit": True}],
        ) as settings:
            pacs.answers = settings.listener.port
            with work.delivering(pacs):
                work.study()
                work.wait_until_all(COMMITTED)
            with associated(settings, calling="PACS") as association:
                taken = {context.abstract_syntax for context in association.accepted_contexts}
                assert taken == {"1.2.840.10008.1.1"}


def test_what_the_destination_does_not_have_is_sent_again(work: Work) -> None:
    lost: list[str] = []

    def loses_each_once(item: Dataset) -> int | None:
        uid = str(item.ReferencedSOPInstanceUID)
        if uid in lost:
            return None
        lost.append(uid)
        return 0x0112

    with CommittingPacs(judge=loses_each_once) as pacs, work.delivering(pacs):
        work.study()
        work.wait_until_all(COMMITTED)
        assert sorted(pacs.stored) == sorted(2 * lost)
        reason = "not committed by the destination: no such object instance (0112)"
        assert ("pending", reason) in work.told()


def test_what_the_destination_loses_every_time_is_given_up_loudly(work: Work) -> None:
    with CommittingPacs(judge=lambda _: 0x0112) as pacs, work.delivering(pacs):
        work.study()
        work.wait_until_all(DeliveryState.REJECTED)
        assert len(pacs.stored) == 2 * (1 + commitments.MOST_RESENDS)


def test_a_conflict_is_told_and_not_asked_again(work: Work) -> None:
    with CommittingPacs(judge=lambda _: 0x0119) as pacs, work.delivering(pacs):
        work.study()
        reason = "not committed by the destination: class / instance conflict (0119)"
        peers.wait_until(lambda: ("sent", reason) in work.told(), "the reason")
        peers.wait_until(
            lambda: all(each.commit_at is None for each in rows(work.database, Delivery)), "both"
        )
        assert work.states() == [SENT, SENT]
        assert len(pacs.stored) == 2


@pytest.mark.usefixtures("not_answered_at_once")
def test_a_destination_that_cannot_tell_or_does_not_answer_is_asked_again(work: Work) -> None:
    with (
        CommittingPacs("never", judge=lambda _: 0x0213) as pacs,
        work.delivering(pacs, commitment_timeout_seconds=0.5),
    ):
        work.study()
        peers.wait_until(lambda: len(pacs.requests) >= 2, "another request")
        pacs.answers = "same"  # now it lacks resources, then it has them
        peers.wait_until(lambda: pacs.statuses, "an answer")
        pacs.judge = lambda _: None
        work.wait_until_all(COMMITTED)
        transactions = [each.TransactionUID for each in pacs.requests]
        assert len(set(transactions)) == len(transactions)
        assert len(pacs.stored) == 2


def test_a_report_has_its_response_before_the_association_is_released() -> None:
    """Also where pynetdicom's flag, by which a release waits for a request, is stale."""
    came, go_on = threading.Event(), threading.Event()

    def slow(event: evt.Event) -> tuple[int, None]:
        event.assoc._is_paused = True
        came.set()
        assert go_on.wait(20)
        return 0x0000, None

    with CommittingPacs() as pacs:
        peer = Peer("127.0.0.1", pacs.port, "PACS", "HILUM", 20)
        handlers = [(evt.EVT_N_EVENT_REPORT, slow)]
        with store_scu.associated(peer, [(PUSH_MODEL, IMPLICIT)], handlers=handlers) as sender:
            sender.act(request((SC, "1.2.3")), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            assert came.wait(20)
            threading.Timer(0.3, go_on.set).start()
        peers.wait_until(lambda: pacs.statuses == [0x0000], "the response to the report")


@pytest.mark.usefixtures("not_answered_at_once")
def test_deliveries_do_not_wait_for_commitments(work: Work) -> None:
    with CommittingPacs("never") as pacs, work.delivering(pacs):
        work.study()
        work.wait_until_all(SENT)
        work.study()
        work.wait_until_all(SENT, 4)
        assert len(pacs.stored) == 4


def _asked(pacs: CommittingPacs) -> list[str]:
    items = [item for each in pacs.requests for item in each.ReferencedSOPSequence]
    return [str(item.ReferencedSOPInstanceUID) for item in items]


# What peers ask of us ------------------------------------------------------------------------


def request(*references: tuple[str, str]) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = "1.2.826.0.1.3680043.9998.77"
    asked.ReferencedSOPSequence = []
    for sop_class, uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


CR, SC = str(ComputedRadiographyImageStorage), str(SecondaryCaptureImageStorage)


@pytest.fixture
def modality() -> Iterator[AskingPeer]:
    with AskingPeer() as peer:
        yield peer


def known(peer: AskingPeer) -> list[dict[str, object]]:
    return [{"ae_title": peer.calling, "address": "127.0.0.1", "port": peer.port}]


def stored(settings: Settings, count: int) -> list[str]:
    films = [cr() for _ in range(count)]
    with associated(settings) as association:
        for each in films:
            assert status(association, each) == 0x0000
    return [str(each.SOPInstanceUID) for each in films]


def test_what_we_hold_is_committed_over_the_same_association(
    database: Database, store: FileStore, modality: AskingPeer
) -> None:
    modality.stop()  # it has no listener
    with listener(database, store) as settings:
        asked = request(*((CR, uid) for uid in stored(settings, 3)))
        assert modality.ask(settings.listener.port, asked, wait_for_report=True) == 0x0000
        [(event_type, answer)] = modality.reports
        assert event_type == 1
        assert answer.TransactionUID == asked.TransactionUID
        assert answer.ReferencedSOPSequence == asked.ReferencedSOPSequence
        assert "FailedSOPSequence" not in answer
        peers.wait_until(lambda: not rows(database, CommitmentRequest), "the request to be closed")


def test_what_we_do_not_hold_as_it_came_is_named_with_its_reason(
    database: Database, store: FileStore, modality: AskingPeer
) -> None:
    """No such instance, another class, a damaged file, a file that is gone; one is whole."""
    with listener(database, store, peers=known(modality)) as settings:
        whole, damaged, gone, other = stored(settings, 4)
        paths = {each.sop_instance_uid: each.path for each in rows(database, Instance)}
        with store.path(paths[damaged]).open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\x7f")
        store.path(paths[gone]).unlink()
        asked = request((CR, whole), (CR, damaged), (CR, gone), (SC, other), (CR, "1.2.3.4"))
        assert modality.ask(settings.listener.port, asked) == 0x0000
        peers.wait_until(lambda: modality.reports, "the report", seconds=20)
    [(event_type, answer)] = modality.reports
    assert event_type == 2
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [whole]
    failed = {
        item.ReferencedSOPInstanceUID: item.FailureReason for item in answer.FailedSOPSequence
    }
    assert failed == {damaged: 0x0110, gone: 0x0110, other: 0x0119, "1.2.3.4": 0x0112}


def test_a_restart_forgets_no_request(
    database: Database, store: FileStore, modality: AskingPeer, clock: RunningClock
) -> None:
    modality.stop()
    with listener(database, store, peers=known(modality)) as settings:
        asked = request((CR, stored(settings, 1)[0]))
        assert modality.ask(settings.listener.port, asked) == 0x0000
        peers.wait_until(
            lambda: rows(database, CommitmentRequest)[0].attempts >= 1, "an attempt", seconds=20
        )
    modality.start()
    clock.move(seconds=600)
    with listener(database, store, peers=known(modality)):
        peers.wait_until(lambda: modality.reports, "the report", seconds=20)
        peers.wait_until(lambda: not rows(database, CommitmentRequest), "the request to be closed")
    assert modality.reports[0][0] == 1


def test_a_request_that_makes_no_sense_is_refused(
    database: Database, store: FileStore, modality: AskingPeer
) -> None:
    with listener(database, store) as settings:
        port = settings.listener.port
        assert modality.ask(port, request()) == 0x0115
        assert modality.ask(port, request((CR, "not a uid"))) == 0x0115
        assert modality.ask(port, request((CR, "1.2.3")), action=2) == 0x0123
    assert rows(database, CommitmentRequest) == []
