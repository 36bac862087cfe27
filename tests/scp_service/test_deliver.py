"""Delivery to peers that are down, slow, picky or rude: all arrives, and none waits for another."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db import deliveries, history, pauses, queue
from db.files import FileStore
from db.models import Delivery, Result, Task
from db.reports import NewResult
from db.session import Database
from db.states import DeliveryState, TaskKind, TaskState
from scp_service import deliver
from scp_service.answer import Answer, Outcome, PeerError
from scp_service.destinations.adapt import twin_uid
from scp_service.destinations.registry import CONNECTORS
from scp_service.store_scu import Peer, associated
from settings import DicomDestination, Settings
from tests import peers
from tests.db.makers import RunningClock, film, new_report, reported_study, rows
from tests.scp_service.results import kept
from tests.scp_service.running import configured
from tests.scp_service.scripted import (
    EXPLICIT,
    IMPLICIT,
    JPEG,
    SC,
    SR,
    SR_2D,
    Destination,
    Received,
)

# pynetdicom drops the socket of a connection that failed without closing it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PENDING, SENT, REJECTED = DeliveryState.PENDING, DeliveryState.SENT, DeliveryState.REJECTED


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
    monkeypatch.setattr(deliver, "_LANES_POLL_SECONDS", 0.05)


def to(*destinations: Destination, **values: Any) -> dict[str, Any]:
    """Settings that send to these destinations, each named by its AE title in small letters."""
    return {
        "delivery__backoff_seconds": 0.05,
        "delivery__backoff_max_seconds": 0.1,
        "destinations": [
            {
                "name": each.ae_title.lower(),
                "ae_title": each.ae_title,
                "host": "127.0.0.1",
                "port": each.port,
            }
            for each in destinations
        ],
        **values,
    }


class Work:
    """Studies with results in a data folder and a database, and what became of them."""

    def __init__(self, database: Database, store: FileStore, clock: RunningClock) -> None:
        self.database = database
        self.store = store
        self._clock = clock

    def study(
        self, *kinds: str, lanes: tuple[str, ...] = ("pacs",), **source: str
    ) -> list[NewResult]:
        """Have a study reported with results of these kinds, for these destinations."""
        results = [kept(self.store, kind) for kind in kinds]
        reported_study(
            self.database,
            self._clock,
            film(**source),
            made=new_report(*results),
            profiles=dict.fromkeys(lanes, ("sr", "sc")),
        )
        return results

    def now(self) -> datetime:
        with self.database.read() as session:
            return self.database.now(session)

    def deliveries(self, lane: str = "pacs") -> list[Delivery]:
        return [each for each in rows(self.database, Delivery) if each.destination == lane]

    def states(self, lane: str = "pacs") -> list[DeliveryState]:
        return [each.state for each in self.deliveries(lane)]

    def all_are(self, state: DeliveryState, lane: str = "pacs") -> bool:
        return set(self.states(lane)) == {state}

    def wait_until_sent(self, lane: str = "pacs") -> None:
        peers.wait_until(lambda: self.all_are(SENT, lane), f"all to be sent to {lane}", seconds=30)

    def of(self, result: NewResult) -> Delivery:
        with self.database.read() as session:
            query = select(Delivery).join(Result).where(Result.path == result.path)
            return session.scalars(query).one()

    @contextmanager
    def delivering(
        self, settings: dict[str, Any], current: Callable[[], Settings] | None = None
    ) -> Iterator[Settings]:
        """Run the deliverer until the end of the block."""
        loaded = configured(self.store.root, **settings)
        stop = threading.Event()
        thread = threading.Thread(
            target=deliver.deliver_all,
            args=(loaded, self.database, self.store, stop, "deliver@test:1", current),
        )
        thread.start()
        try:
            yield loaded
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive(), "the deliverer ends when it is told to"


@pytest.fixture
def work(database: Database, store: FileStore, clock: RunningClock) -> Work:
    return Work(database, store, clock)


@pytest.fixture
def pacs() -> Iterator[Destination]:
    with Destination() as running:
        yield running


def refuses(*uids: str, status: int = 0xA900, comment: str = "not of this patient") -> Any:
    """Answer these objects with a failure, all others with success."""

    def answer(received: Received) -> Any:
        if received.sop_instance_uid not in uids:
            return 0x0000
        response = Dataset()
        response.Status = status
        response.ErrorComment = comment
        return response

    return answer


def test_every_object_arrives_once_and_as_it_is_kept(work: Work, pacs: Destination) -> None:
    results = [result for _ in range(3) for result in work.study("sr", "sc", "sc")]
    with work.delivering(to(pacs)):
        work.wait_until_sent()
    assert Counter(pacs.uids) == Counter(str(each.sop_instance_uid) for each in results)
    sent = {each.sop_instance_uid: each for each in pacs.received}
    for result in results:
        received = sent[str(result.sop_instance_uid)]
        assert (received.sop_class_uid, received.transfer_syntax_uid) == (
            result.sop_class_uid,
            result.transfer_syntax_uid,
        )
        assert work.store.path(result.path).read_bytes().endswith(received.encoded)
        delivery = work.of(result)
        assert (delivery.status, delivery.reason, delivery.sent_as) == (0, None, None)
        assert delivery.sent_at is not None
    assert rows(work.database, Task) == []
    assert pacs.callers == {"HILUM"}


def test_many_objects_share_an_association(work: Work, pacs: Destination) -> None:
    for _ in range(4):
        work.study("sr", "sc", "sc")
    with work.delivering(to(pacs, delivery__batch_size=5)):
        work.wait_until_sent()
    assert len(pacs.received) == 12
    assert pacs.associations == 1


def test_a_destination_is_called_as_it_is_configured(work: Work) -> None:
    with Destination(ae_title="ARCHIVE") as archive:
        settings = to(archive)
        settings["destinations"][0]["calling_ae_title"] = "READER"
        work.study("sr", lanes=("archive",))
        with work.delivering(settings):
            work.wait_until_sent("archive")
        assert archive.callers == {"READER"}


def test_a_peer_that_is_down_gets_everything_when_it_is_up(
    work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    pacs = Destination()
    results = work.study("sr", "sc")
    with work.delivering(to(pacs)):
        peers.wait_until(
            lambda: all("cannot be reached" in (each.reason or "") for each in work.deliveries()),
            "failures to be noted",
        )
        peers.wait_until(lambda: caplog.text.count("next attempt") > 7, "further attempts")
        assert {task.attempts for task in rows(work.database, Task)} <= {0, 1}
        with pacs:
            work.wait_until_sent()
    assert sorted(pacs.uids) == sorted(str(each.sop_instance_uid) for each in results)
    with work.database.read() as session:
        reasons = [
            event.reason
            for event in history.timeline(session, 1)
            if event.subject == "delivery" and event.subject_id == 1
        ]
    assert len(reasons) == 3, "planned, one reason however often, sent"


def test_a_peer_that_goes_down_and_comes_back_loses_nothing(work: Work, pacs: Destination) -> None:
    first = work.study("sr")
    with work.delivering(to(pacs)):
        work.wait_until_sent()
        pacs.stop()
        second = work.study("sr", "sc")
        peers.wait_until(lambda: work.of(second[1]).reason, "a failure to be noted")
        pacs.start()
        work.wait_until_sent()
    assert Counter(pacs.uids) == Counter(str(each.sop_instance_uid) for each in first + second)


def test_a_paused_destination_gets_nothing_until_it_is_resumed_and_then_all(
    work: Work, pacs: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: Counter[str] = Counter()
    is_paused = pauses.is_paused

    def counted(session: Session, name: str) -> bool:
        looked[name] += 1
        return is_paused(session, name)

    monkeypatch.setattr(pauses, "is_paused", counted)
    with work.database.write() as session:
        pauses.pause(session, "pacs", by="ada", reason="moves house", now=work.now())
    with Destination(ae_title="OTHER") as other, work.delivering(to(pacs, other)):
        results = work.study("sr", "sc", lanes=("pacs", "other"))
        work.wait_until_sent("other")
        peers.wait_until(lambda: looked["pacs"] > 3, "the lane to look some times")
        assert pacs.uids == []
        assert {each.attempts for each in rows(work.database, Task)} == {0}
        with work.database.write() as session:
            pauses.resume(session, "pacs", now=work.now())
        work.wait_until_sent()
    assert sorted(pacs.uids) == sorted(str(each.sop_instance_uid) for each in results)


def test_a_destination_that_moves_is_followed_without_a_restart(
    work: Work, pacs: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "_LOOK_SECONDS", 0.05)
    wrong = to(Destination())  # nobody listens there
    wrong["delivery__backoff_seconds"] = wrong["delivery__backoff_max_seconds"] = 600
    settings = [configured(work.store.root, **wrong)]
    results = work.study("sr", "sc")
    with work.delivering(wrong, lambda: settings[-1]):
        peers.wait_until(
            lambda: all(each.reason for each in work.deliveries()), "a failure to be noted"
        )
        with work.database.write() as session:  # as the console does where it is changed
            queue.hurry(session, TaskKind.DELIVER, "pacs", now=work.now())
        settings.append(configured(work.store.root, **to(pacs)))
        work.wait_until_sent()
        further = work.study("sr", lanes=("other",))
        with Destination(ae_title="OTHER") as other:
            settings.append(configured(work.store.root, **to(pacs, other)))
            work.wait_until_sent("other")
            assert other.uids == [str(further[0].sop_instance_uid)]
    assert sorted(pacs.uids) == sorted(str(each.sop_instance_uid) for each in results)


def test_an_object_that_is_refused_for_good_holds_up_no_other(
    work: Work, pacs: Destination
) -> None:
    bad, *good = work.study("sr", "sc") + work.study("sr")
    pacs.answer = refuses(str(bad.sop_instance_uid))
    with work.delivering(to(pacs)):
        peers.wait_until(lambda: work.of(bad).state is REJECTED, "the object to be given up")
    assert {work.of(each).state for each in good} == {SENT}
    assert Counter(pacs.uids)[str(bad.sop_instance_uid)] == 5
    assert {Counter(pacs.uids)[str(each.sop_instance_uid)] for each in good} == {1}
    rejected = work.of(bad)
    assert (rejected.status, rejected.reason) == (0xA900, "status A900: not of this patient")
    (task,) = rows(work.database, Task)
    assert task.state is TaskState.QUARANTINED


def test_a_peer_without_room_is_never_given_up(work: Work, pacs: Destination) -> None:
    results = work.study("sr")
    pacs.answer = refuses(str(results[0].sop_instance_uid), status=0xA700, comment="disk full")
    with work.delivering(to(pacs)):
        peers.wait_until(lambda: len(pacs.received) > 7, "more attempts than a refusal gets")
        assert work.of(results[0]).reason == "status A700: disk full"
        pacs.answer = lambda _: 0x0000
        work.wait_until_sent()


def test_what_was_acknowledged_before_an_abort_is_not_sent_again(
    work: Work, pacs: Destination
) -> None:
    results = work.study("sr", "sc", "sc")
    rude = str(results[1].sop_instance_uid)

    def answer(received: Received) -> int:
        if received.sop_instance_uid == rude and pacs.uids.count(rude) == 1:
            received.association.abort()
        return 0x0000

    pacs.answer = answer
    with work.delivering(to(pacs)):
        work.wait_until_sent()
    assert Counter(pacs.uids) == {
        str(each.sop_instance_uid): 2 if str(each.sop_instance_uid) == rude else 1
        for each in results
    }


def test_a_peer_that_aborts_every_time_gives_nothing_up(work: Work, pacs: Destination) -> None:
    work.study("sr", "sc")
    pacs.answer = lambda received: received.association.abort()
    with work.delivering(to(pacs)):
        peers.wait_until(lambda: pacs.associations > 6, "more associations than refusals count")
        assert work.all_are(PENDING)
        pacs.answer = lambda _: 0x0000
        work.wait_until_sent()


def test_a_peer_of_comprehensive_sr_gets_that_under_a_uid_of_its_own(work: Work) -> None:
    with Destination([(SR_2D, EXPLICIT), (SC, JPEG)]) as pacs:
        report, overlay = work.study("sr", "sc")
        with work.delivering(to(pacs)):
            work.wait_until_sent()
        twin = twin_uid(str(report.sop_instance_uid))
        assert [(each.sop_class_uid, each.sop_instance_uid) for each in pacs.received] == [
            (SR_2D, twin),
            (SC, str(overlay.sop_instance_uid)),
        ]
    assert work.of(report).sent_as == twin
    assert work.of(overlay).sent_as is None


def test_who_asks_for_comprehensive_sr_gets_that_though_the_peer_takes_either(work: Work) -> None:
    with Destination([(SR, EXPLICIT), (SR_2D, EXPLICIT)]) as pacs:
        (report,) = work.study("sr")
        settings = to(pacs)
        settings["destinations"][0]["sr"] = "comprehensive"
        with work.delivering(settings):
            work.wait_until_sent()
        twin = twin_uid(str(report.sop_instance_uid))
        assert [each.sop_instance_uid for each in pacs.received] == [twin]
    assert work.of(report).sent_as == twin


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_peer_of_uncompressed_objects_gets_them_decoded(work: Work, syntax: str) -> None:
    with Destination([(SR, syntax), (SC, syntax)]) as pacs:
        report, overlay = work.study("sr", "sc")
        with work.delivering(to(pacs)):
            work.wait_until_sent()
        sent = {each.sop_instance_uid: each for each in pacs.received}
    assert {each.transfer_syntax_uid for each in sent.values()} == {syntax}
    assert set(sent) == {str(report.sop_instance_uid), str(overlay.sop_instance_uid)}
    received = sent[str(overlay.sop_instance_uid)]
    picture = dcmread(BytesIO(received.encoded), force=True)
    assert (picture.Rows, picture.Columns, len(picture.PixelData)) == (48, 64, 48 * 64 * 3)


def test_a_peer_of_one_association_at_a_time_is_waited_for(work: Work) -> None:
    with Destination(max_associations=1) as pacs, ExitStack() as other:
        results = work.study("sr", "sc")
        busy = Peer("127.0.0.1", pacs.port, "PACS", "OTHER", 20)
        other.enter_context(associated(busy, [(SR, EXPLICIT)]))
        with work.delivering(to(pacs)):
            peers.wait_until(
                lambda: all(
                    "rejected the association (rejected transient" in (each.reason or "")
                    for each in work.deliveries()
                ),
                "the rejection to be noted",
            )
            assert work.all_are(PENDING)
            other.close()
            work.wait_until_sent()
        assert pacs.uids == [str(each.sop_instance_uid) for each in results]
        assert {task.attempts for task in rows(work.database, Task)} <= {0, 1}


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_means_that_the_peer_keeps_the_object(
    work: Work, pacs: Destination, status: int
) -> None:
    pacs.answer = lambda _: status
    work.study("sr")
    with work.delivering(to(pacs)):
        work.wait_until_sent()
    assert [each.status for each in work.deliveries()] == [status]
    assert len(pacs.received) == 1


def test_a_peer_that_fails_to_process_now_and_then_gets_the_object_again(
    work: Work, pacs: Destination
) -> None:
    pacs.answer = lambda _: 0x0110 if len(pacs.received) < 4 else 0x0000
    work.study("sr")
    with work.delivering(to(pacs)):
        work.wait_until_sent()
    assert len(pacs.received) == 4


def test_a_peer_of_small_pdus_gets_the_same_bytes(work: Work) -> None:
    with Destination(max_pdu=4096) as pacs:
        results = work.study("sr", "sc")
        with work.delivering(to(pacs)):
            work.wait_until_sent()
        for result, received in zip(results, pacs.received, strict=True):
            assert work.store.path(result.path).read_bytes().endswith(received.encoded)


def test_what_a_peer_takes_in_no_form_is_rejected_and_the_rest_is_sent(work: Work) -> None:
    with Destination([(SC, JPEG)]) as pacs:
        report, overlay = work.study("sr", "sc")
        with work.delivering(to(pacs)):
            peers.wait_until(lambda: work.of(report).state is REJECTED, "the SR to be given up")
        assert pacs.uids == [str(overlay.sop_instance_uid)]
    assert "accepts this SOP class in no form" in str(work.of(report).reason)


def test_a_slow_destination_holds_up_no_other(work: Work, pacs: Destination) -> None:
    go_on = threading.Event()

    def wait(_: Received) -> int:
        go_on.wait(20)
        return 0x0000

    with Destination(ae_title="SLOW", answer=wait) as slow:
        work.study("sr", "sc", lanes=("pacs", "slow"))
        with work.delivering(to(slow, pacs)):
            peers.wait_until(lambda: slow.received, "the slow one to be called")
            work.wait_until_sent("pacs")
            work.study("sr", lanes=("pacs",))
            work.wait_until_sent("pacs")
            assert work.all_are(PENDING, "slow")
            go_on.set()
            work.wait_until_sent("slow")


def test_a_peer_that_never_answers_is_tried_again(work: Work, pacs: Destination) -> None:
    go_on = threading.Event()

    def wait(_: Received) -> int:
        go_on.wait(20)
        return 0x0000

    pacs.answer = wait
    work.study("sr")
    with work.delivering(to(pacs, delivery__timeout_seconds=0.3)):
        peers.wait_until(
            lambda: "did not answer in time" in (work.deliveries()[0].reason or ""), "a time-out"
        )
        pacs.answer = lambda _: 0x0000
        go_on.set()
        work.wait_until_sent()


def test_results_return_to_the_sender_where_that_is_configured(work: Work) -> None:
    with Destination(ae_title="MODALITY") as modality:
        peer = {
            "ae_title": "MODALITY",
            "address": "127.0.0.0/8",
            "port": modality.port,
            "return_results": True,
        }
        with work.delivering(to(peers=[peer])) as settings:
            lanes = tuple(settings.profiles("MODALITY", "127.0.0.1"))
            assert lanes == ("MODALITY@127.0.0.1",)
            results = work.study("sr", lanes=lanes)
            work.wait_until_sent(lanes[0])
        assert modality.uids == [str(each.sop_instance_uid) for each in results]


def test_work_for_a_destination_that_is_configured_no_more_waits(
    work: Work, pacs: Destination
) -> None:
    work.study("sr")
    with work.delivering(to()):
        peers.wait_until(
            lambda: "no destination of this name" in (work.deliveries()[0].reason or ""),
            "the reason",
        )
    assert work.all_are(PENDING)
    with work.delivering(to(pacs)):
        work.wait_until_sent()


class Scripted:
    """A destination of a kind made up for a test: it says what the script tells."""

    where = "nowhere"

    def __init__(self, answers: Iterator[Answer | Exception]) -> None:
        self._answers = answers
        self.sent: list[str] = []

    @contextmanager
    def connected(self, _: FileStore) -> Iterator[Scripted]:
        yield self

    def probe(self) -> None:
        raise PeerError("it is made up")

    def send(self, parcel: deliveries.Parcel) -> Answer:
        self.sent.append(parcel.path)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


STORED = Answer(Outcome.STORED, status=200)
LATER = Answer(Outcome.TEMPORARY, "status 503", 503)
REFUSED = Answer(Outcome.REFUSED, "status 400", 400)
FINAL = Answer(Outcome.REJECTED, "status 410: gone", 410)


@pytest.mark.parametrize(
    ("answers", "state", "status", "reason"),
    [
        ([STORED], SENT, 200, None),
        ([LATER] * 7 + [STORED], SENT, 200, None),
        ([REFUSED] * 4 + [STORED], SENT, 200, None),
        ([REFUSED] * 5, REJECTED, 400, "status 400"),
        ([FINAL], REJECTED, 410, "status 410: gone"),
        ([PeerError("it went away")] * 7 + [STORED], SENT, 200, None),
    ],
)
def test_a_lane_goes_by_what_any_kind_of_destination_answers(
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[Answer | Exception],
    state: DeliveryState,
    status: int,
    reason: str | None,
) -> None:
    script = Scripted(iter(answers))
    monkeypatch.setitem(CONNECTORS, DicomDestination, lambda *_: script)
    work.study("sr")
    with work.delivering(to(Destination())):
        peers.wait_until(lambda: work.all_are(state), f"all to be {state}")
    assert len(script.sent) == len(answers)
    (delivery,) = work.deliveries()
    assert (delivery.status, delivery.reason) == (status, reason)


def test_the_longer_a_destination_cannot_be_used_the_longer_the_waits(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []

    def delay(_: queue.Backoff, attempts: int) -> timedelta:
        failures.append(attempts)
        return timedelta(milliseconds=10)

    monkeypatch.setattr(queue.Backoff, "delay", delay)
    away = PeerError("it went away")
    script = Scripted(iter([away, away, away, STORED, away, STORED]))
    monkeypatch.setitem(CONNECTORS, DicomDestination, lambda *_: script)
    work.study("sr", "sc")
    with work.delivering(to(Destination())):
        work.wait_until_sent()
    assert failures == [1, 2, 3, 1]


def test_a_destination_that_asks_for_time_gets_it_within_reason(
    work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script = Scripted(iter([PeerError("it is busy", retry_after_seconds=3600)]))
    monkeypatch.setitem(CONNECTORS, DicomDestination, lambda *_: script)
    work.study("sr")
    with work.delivering(to(Destination(), delivery__backoff_max_seconds=30)):
        peers.wait_until(lambda: work.deliveries()[0].reason, "the failure to be noted")
        (task,) = rows(work.database, Task)
        assert timedelta(seconds=20) < task.not_before - work.now() <= timedelta(seconds=30)
    assert "it is busy; next attempt in 30 s" in caplog.text


def damage_missing(path: Path) -> None:
    path.unlink()


def damage_garbage(path: Path) -> None:
    path.write_bytes(b"\xff" * 500)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "contexts", [((SR, EXPLICIT), (SC, JPEG)), ((SR_2D, EXPLICIT), (SC, EXPLICIT))]
)
@pytest.mark.parametrize("damage", [damage_missing, damage_garbage, damage_empty])
def test_a_file_that_cannot_be_sent_holds_up_no_other(
    work: Work, contexts: tuple[tuple[str, str], ...], damage: Callable[[Path], None]
) -> None:
    with Destination(contexts) as pacs:
        bad, *good = work.study("sr", "sc") + work.study("sr")
        damage(work.store.path(bad.path))
        with work.delivering(to(pacs)):
            peers.wait_until(lambda: work.of(bad).state is REJECTED, "the file to be given up")
            assert {work.of(each).state for each in good} == {SENT}
        assert len(pacs.received) == 2
    assert "file cannot be sent" in str(work.of(bad).reason)


def test_what_the_peer_acknowledged_is_recorded_however_long_the_database_takes(
    work: Work, pacs: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = deliveries.record_sent
    failures = iter([True] * 3)

    def record_sent(*arguments: Any, **how: Any) -> None:
        if next(failures, False):
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
        real(*arguments, **how)

    monkeypatch.setattr(deliveries, "record_sent", record_sent)
    results = work.study("sr", "sc")
    with work.delivering(to(pacs)):
        work.wait_until_sent()
    assert sorted(pacs.uids) == sorted(str(each.sop_instance_uid) for each in results)
    assert rows(work.database, Task) == []


def test_a_failure_of_the_peer_is_recorded_however_long_the_database_takes(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = deliveries.record_failure
    failures = iter([True] * 3)

    def record_failure(*arguments: Any, **how: Any) -> None:
        if next(failures, False):
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
        real(*arguments, **how)

    monkeypatch.setattr(deliveries, "record_failure", record_failure)
    pacs = Destination()
    work.study("sr")
    with work.delivering(to(pacs)):
        peers.wait_until(lambda: work.deliveries()[0].reason, "the reason")
        with pacs:
            work.wait_until_sent()


def test_a_database_that_fails_for_a_while_stops_no_lane(
    work: Work, pacs: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = deliver.queue.any_ready
    broken = threading.Event()
    seen = threading.Event()

    def any_ready(*arguments: Any, **how: Any) -> bool:
        if broken.is_set():
            seen.set()
            raise OperationalError("SELECT", {}, Exception("down"))
        return real(*arguments, **how)

    broken.set()
    monkeypatch.setattr(deliver.queue, "any_ready", any_ready)
    work.study("sr")
    with work.delivering(to(pacs)):
        assert seen.wait(10)
        broken.clear()
        work.wait_until_sent()


def test_on_the_way_out_what_is_not_sent_is_given_back_uncounted(
    work: Work, pacs: Destination
) -> None:
    work.study("sr", "sc", "sc", "sc")
    stop = threading.Event()
    go_on = threading.Event()

    def wait(_: Received) -> int:
        go_on.wait(20)
        return 0x0000

    pacs.answer = wait
    settings = configured(work.store.root, **to(pacs))
    thread = threading.Thread(
        target=deliver.deliver_all, args=(settings, work.database, work.store, stop, "d")
    )
    thread.start()
    peers.wait_until(lambda: pacs.received, "the first object")
    stop.set()
    go_on.set()
    thread.join(30)
    assert not thread.is_alive()
    assert work.states() == [SENT, PENDING, PENDING, PENDING]
    assert {(task.state, task.attempts) for task in rows(work.database, Task)} == {
        (TaskState.READY, 0)
    }
    assert len(pacs.received) == 1


def test_nothing_of_a_patient_is_logged(
    work: Work, pacs: Destination, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    results = work.study("sr", "sc", patient_name="CANARY^NAME", patient_id="CANARYID")
    pacs.answer = refuses(str(results[0].sop_instance_uid), comment="CANARY^NAME is unknown")
    with work.delivering(to(pacs)):
        peers.wait_until(lambda: work.of(results[0]).state is REJECTED, "the object to be given up")
    ours = [each.getMessage() for each in caplog.records if "pynetdicom" not in each.name]
    assert not any("CANARY" in each for each in ours)
    assert not any(str(result.sop_instance_uid) in each for result in results for each in ours)
