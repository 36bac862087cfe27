"""Archives over real sockets: what they answer, how they refuse, and what becomes of it here."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.events import Event
from sqlalchemy import select

from db.files import FileStore
from db.models import Task
from db.session import Database
from scp_service.archives import fetch as fetching
from scp_service.archives.found import ArchiveError, UnavailableError
from scp_service.listener import SOP_CLASSES
from tests import peers
from tests.db.makers import Clock, new_report, new_result, reported_study
from tests.scp_service.archives.fetching import held, outcomes, prepared
from tests.scp_service.films import cr, uid
from tests.scp_service.running import listener

# pynetdicom leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"


@dataclass
class Pacs:
    """An archive of our own making: it holds films, and answers as a test tells it to."""

    films: list[Dataset] = field(default_factory=list)
    destinations: dict[str, int] = field(default_factory=dict)
    models: tuple[str, ...] = (FIND, GET, MOVE)
    find_status: int | None = None
    retrieve_status: int | None = None
    aborts: int = 0
    withheld: set[str] = field(default_factory=set)
    tells_sop_class: bool = True
    queries: list[Dataset] = field(default_factory=list)
    retrieved: list[list[str]] = field(default_factory=list)
    associations: int = 0
    port: int = field(default_factory=peers.free_port)

    @contextmanager
    def running(self) -> Iterator[Pacs]:
        """Answer until the end of the block."""
        ae = AE("PACS")
        for model in self.models:
            ae.add_supported_context(model)
        for sop_class in (*SOP_CLASSES, CTImageStorage):
            syntaxes = [ExplicitVRLittleEndian]
            ae.add_supported_context(sop_class, syntaxes, scu_role=True, scp_role=True)
            ae.add_requested_context(sop_class, syntaxes)
        handlers: list[tuple[Any, ...]] = [
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_ESTABLISHED, self._count),
        ]
        server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        try:
            yield self
        finally:
            server.shutdown()

    def _count(self, _event: Event) -> None:
        self.associations += 1

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        keys = event.identifier
        self.queries.append(keys)
        if self.find_status is not None:
            yield self.find_status, None
            return
        level = {"STUDY": "Study", "SERIES": "Series"}.get(keys.QueryRetrieveLevel, "SOP")
        seen = set()
        for film in self.films:
            name = film[f"{level}InstanceUID"].value
            same_study = keys.StudyInstanceUID in ("", film.StudyInstanceUID)
            same_series = keys.get("SeriesInstanceUID", "") in ("", film.SeriesInstanceUID)
            if name in seen or not same_study or not same_series:
                continue
            seen.add(name)
            match = Dataset()
            match.QueryRetrieveLevel = keys.QueryRetrieveLevel
            for element in keys:
                if element.keyword in film:
                    setattr(match, element.keyword, film[element.keyword].value)
            if not self.tells_sop_class and "SOPClassUID" in match:
                del match.SOPClassUID
            yield 0xFF00, match

    def _wanted(self, event: Event) -> list[Dataset]:
        uids = event.identifier.SOPInstanceUID
        wanted = [uids] if isinstance(uids, str) else list(uids)
        self.retrieved.append(wanted)
        return [
            film
            for film in self.films
            if film.SOPInstanceUID in wanted and film.SOPInstanceUID not in self.withheld
        ]

    def _get(self, event: Event) -> Iterator[Any]:
        if self.aborts:
            self.aborts -= 1
            event.assoc.abort()
            return
        wanted = self._wanted(event)
        yield len(wanted)
        if self.retrieve_status is not None:
            yield self.retrieve_status, None
            return
        for film in wanted:
            yield 0xFF00, film

    def _move(self, event: Event) -> Iterator[Any]:
        port = self.destinations.get(event.move_destination.strip())
        if port is None:
            yield None, None
            return
        yield "127.0.0.1", port, {"ae_title": event.move_destination.strip()}
        wanted = self._wanted(event)
        yield len(wanted)
        for film in wanted:
            yield 0xFF00, film


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PAUSES_SECONDS", (0.01, 0.01))


def at(pacs: Pacs, retrieve: str = "get") -> dict[str, Any]:
    """Return the keys of the archive's table."""
    return {
        "ae_title": "PACS",
        "host": "127.0.0.1",
        "port": pacs.port,
        "retrieve": retrieve,
        "timeout_seconds": 10,
    }


def test_a_film_fetched_by_c_get_is_kept_as_a_received_one_and_named_after_its_archive(
    database: Database, store: FileStore
) -> None:
    film = cr()
    with Pacs([film]).running() as pacs:
        (outcome,) = outcomes(at(pacs), database, store)
    assert (outcome.result, outcome.fetched) == ("fetched", 1)
    (instance,) = held(database)
    assert instance.sop_instance_uid == film.SOPInstanceUID
    assert (instance.source_ae, instance.called_ae) == ("PACS", "HILUM")
    assert instance.source_address == "127.0.0.1"
    assert store.digest(instance.path) == instance.file_sha256
    with database.read() as session:
        assert session.scalars(select(Task.kind)).all() == ["read"]
    assert not list(store.root.glob("incoming/*/*.part"))


def test_a_film_fetched_by_c_move_comes_through_our_own_listener(
    database: Database, store: FileStore
) -> None:
    with (
        listener(database, store) as settings,
        Pacs([cr()], {"HILUM": settings.listener.port}).running() as pacs,
    ):
        (outcome,) = outcomes(at(pacs, "move"), database, store)
    assert outcome.result == "fetched"
    assert [each.source_ae for each in held(database)] == ["PACS"]


def test_what_is_here_already_is_not_asked_for_again(database: Database, store: FileStore) -> None:
    study = uid()
    films = [cr(StudyInstanceUID=study) for _ in range(3)]
    with Pacs(films[:2]).running() as pacs:
        outcomes(at(pacs), database, store)
        pacs.films.append(films[2])
        (outcome,) = outcomes(at(pacs), database, store)
        assert (outcome.result, outcome.here, outcome.fetched) == ("fetched", 2, 1)
        assert pacs.retrieved[-1] == [films[2].SOPInstanceUID]
        asked = len(pacs.retrieved)
        (outcome,) = outcomes(at(pacs), database, store)
    assert (outcome.result, outcome.here) == ("here", 3)
    assert len(pacs.retrieved) == asked
    assert len(held(database)) == 3


def test_several_films_of_a_series_come_with_one_request(
    database: Database, store: FileStore
) -> None:
    study, series = uid(), uid()
    films = [cr(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(3)]
    with Pacs(films).running() as pacs:
        (outcome,) = outcomes(at(pacs), database, store)
    assert outcome.fetched == 3
    assert len(pacs.retrieved) == pacs.associations == 1


def test_series_of_other_modalities_and_other_sop_classes_are_left_alone(
    database: Database, store: FileStore
) -> None:
    study = uid()
    film = cr(StudyInstanceUID=study)
    others = [
        cr(StudyInstanceUID=study, Modality="CT", SOPClassUID=CTImageStorage),
        cr(StudyInstanceUID=study, Modality="DX", SOPClassUID=CTImageStorage),
        cr(StudyInstanceUID=study, Modality="OT"),
    ]
    with Pacs([film, *others]).running() as pacs:
        outcomes(at(pacs), database, store)
    assert pacs.retrieved == [[film.SOPInstanceUID]]


def test_an_archive_that_tells_no_sop_class_is_asked_for_all_of_the_series(
    database: Database, store: FileStore
) -> None:
    with Pacs([cr()], tells_sop_class=False).running() as pacs:
        (outcome,) = outcomes(at(pacs), database, store)
    assert outcome.result == "fetched"


def test_our_own_overlays_are_never_fetched_back(
    fresh_sqlite: Callable[[], str], clock: Clock, store: FileStore
) -> None:
    overlay = new_result("sc")
    with (
        closing(Database(fresh_sqlite(), clock=clock)) as database,
        Pacs([cr(SOPInstanceUID=overlay.sop_instance_uid)]).running() as pacs,
    ):
        reported_study(database, clock, made=new_report(overlay))
        (outcome,) = outcomes(at(pacs), database, store)
    assert outcome.result == "nothing"
    assert not pacs.retrieved


def test_each_modality_is_asked_for_by_itself_and_a_study_of_both_comes_once(
    database: Database, store: FileStore
) -> None:
    with Pacs([cr()]).running() as pacs, prepared(at(pacs), database, store) as run:
        assert len(run.studies()) == 1
    assert [query.ModalitiesInStudy for query in pacs.queries] == ["CR", "DX"]
    assert {query.StudyDate for query in pacs.queries} == {"20240301"}


def test_a_study_that_fails_costs_no_other_and_says_why(
    database: Database, store: FileStore
) -> None:
    films = [cr(), cr(), cr()]
    with Pacs(films).running() as pacs:
        pacs.withheld.add(films[1].SOPInstanceUID)
        ends = outcomes(at(pacs), database, store)
    assert [end.result for end in ends] == ["fetched", "failed", "fetched"]
    assert "did not come here" in ends[1].reason
    assert len(held(database)) == 2


def test_a_film_that_cannot_be_kept_is_named_as_refused_by_us(
    database: Database, store: FileStore
) -> None:
    big = cr(PixelData=bytes(2_000_000))
    with Pacs([big]).running() as pacs:
        (end,) = outcomes(at(pacs), database, store, listener__max_dataset_bytes=1_048_576)
    assert end.result == "failed"
    assert "could not be kept here: the data set is larger than is allowed" in end.reason
    assert not held(database)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xA702, "out of resources"),
        (0xA900, "does not match the SOP class"),
        (0xC123, "unable to process the request .status C123."),
        (0x0199, "failed for another reason .status 0199."),
    ],
)
def test_the_status_of_a_retrieve_is_told_in_words(
    status: int, words: str, database: Database, store: FileStore
) -> None:
    with Pacs([cr()], retrieve_status=status).running() as pacs:
        (end,) = outcomes(at(pacs), database, store)
    assert end.result == "failed"
    assert re.search(words, end.reason)


def test_an_unknown_move_destination_ends_the_run_and_says_what_to_configure(
    database: Database, store: FileStore
) -> None:
    with (
        Pacs([cr()]).running() as pacs,
        pytest.raises(ArchiveError, match=r"does not know HILUM as a move destination .*A801.*add"),
    ):
        outcomes(at(pacs, "move"), database, store)


def test_an_archive_without_c_get_says_that_c_move_may_do(
    database: Database, store: FileStore
) -> None:
    with (
        Pacs([cr()], models=(FIND, MOVE)).running() as pacs,
        pytest.raises(ArchiveError, match=r'no C-GET .*retrieve = "move"'),
    ):
        outcomes(at(pacs), database, store)


def test_an_archive_that_is_not_there_is_unavailable(database: Database, store: FileStore) -> None:
    with pytest.raises(UnavailableError, match="cannot be reached"):
        outcomes(at(Pacs()), database, store)


def test_an_archive_that_goes_away_is_asked_again_and_the_run_goes_on(
    database: Database, store: FileStore
) -> None:
    with Pacs([cr(), cr()], aborts=2).running() as pacs:
        ends = outcomes(at(pacs), database, store)
    assert [end.result for end in ends] == ["fetched", "fetched"]
    assert pacs.associations == 3


def test_an_archive_that_stays_away_ends_the_run(database: Database, store: FileStore) -> None:
    with (
        Pacs([cr()], aborts=99).running() as pacs,
        pytest.raises(UnavailableError, match="ended the association"),
    ):
        outcomes(at(pacs), database, store)


def test_failure_after_failure_ends_the_run(database: Database, store: FileStore) -> None:
    films = [cr() for _ in range(8)]
    with (
        Pacs(films, retrieve_status=0xC000).running() as pacs,
        pytest.raises(ArchiveError, match="5 studies failed one after another"),
    ):
        outcomes(at(pacs), database, store)
    assert len(pacs.retrieved) == 5


def test_no_room_ends_the_run_before_anything_is_asked_for(
    database: Database, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileStore, "free_bytes", lambda _: -1)
    with (
        Pacs([cr()]).running() as pacs,
        pytest.raises(ArchiveError, match="almost full"),
    ):
        outcomes(at(pacs), database, store)
    assert not pacs.retrieved


def test_a_run_that_is_stopped_ends_with_the_study_it_is_at(
    database: Database, store: FileStore
) -> None:
    stop = threading.Event()
    with (
        Pacs([cr(), cr(), cr()]).running() as pacs,
        prepared(at(pacs), database, store, stop=stop) as run,
    ):
        ends = []
        for end in run.run(run.studies()):
            ends.append(end)
            stop.set()
    assert len(ends) == len(held(database)) == 1
