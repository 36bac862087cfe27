"""DICOMweb archives: Orthanc, and servers that page, refuse, break off or answer something else."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, RLELossless
from sqlalchemy import select

from db.files import FileStore
from db.models import Task
from db.session import Database
from scp_service.archives import fetch as fetching
from scp_service.archives import polling
from scp_service.archives.found import ArchiveError, RetrieveError, UnavailableError
from scp_service.certificates import make_trial
from tests import peers
from tests.scp_service.archives.fetching import held, outcomes, prepared
from tests.scp_service.destinations.web_servers import Asked, Told, WebServer
from tests.scp_service.dicomweb.posting import BOUNDARY, RELATED, file, multipart
from tests.scp_service.films import cr, uid
from tests.scp_service.running import configured

LOGIN = {"username": "hilum", "password": "hush"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PAUSES_SECONDS", (0.01, 0.01))


# Orthanc -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Orthanc]:
    folder = tmp_path_factory.mktemp("archive")
    with peers.orthanc(folder, config=peers.with_dicomweb(), login=LOGIN) as server:
        yield server


@pytest.fixture
def archive(orthanc: peers.Orthanc) -> dict[str, object]:
    return {"kind": "dicomweb", "url": orthanc.dicomweb, **LOGIN}


def keep_in(orthanc: peers.Orthanc, folder: Path, films: Sequence[Dataset]) -> None:
    paths = [folder / f"{number}.dcm" for number in range(len(films))]
    for path, film in zip(paths, films, strict=True):
        path.write_bytes(file(film))
    sent = peers.dcmsend(paths, orthanc.port, called=orthanc.ae_title)
    assert sent.accepted == len(films), sent.output


def test_films_of_orthanc_come_as_it_keeps_them_and_a_second_run_asks_for_none(
    orthanc: peers.Orthanc,
    archive: dict[str, object],
    database: Database,
    store: FileStore,
    tmp_path: Path,
) -> None:
    study, who = uid(), "ASE/1"
    compressed = cr(RLELossless, StudyInstanceUID=study, PatientID=who)
    compressed.PixelData = encapsulate([b"\r\n--\r\n" + bytes(128)])
    films = [
        cr(StudyInstanceUID=study, PatientID=who),
        compressed,
        cr(PatientID=who),
    ]
    others = [cr(Modality="CT", SOPClassUID=CTImageStorage, PatientID=who), cr(PatientID="Berit")]
    keep_in(orthanc, tmp_path, [*films, *others])
    query = {"patient_id": f"{who[:-1]}?", "study_description": "thorax*"}

    ends = outcomes(archive, database, store, dates="20240301-20240302", query=query)
    assert sorted((end.result, end.fetched) for end in ends) == [("fetched", 1), ("fetched", 2)]
    came = {each.sop_instance_uid: each for each in held(database)}
    assert set(came) == {film.SOPInstanceUID for film in films}
    assert came[compressed.SOPInstanceUID].transfer_syntax_uid == RLELossless
    for film in films:
        instance = came[film.SOPInstanceUID]
        assert (instance.source_ae, instance.called_ae) == ("DICOMWEB", "HILUM")
        assert instance.source_address == "127.0.0.1"
        (known,) = orthanc.find("Instance", {"SOPInstanceUID": film.SOPInstanceUID})
        assert dcmread(store.path(instance.path)) == dcmread(BytesIO(orthanc.file(known)))
    with database.read() as session:
        assert set(session.scalars(select(Task.kind))) == {"read"}
    assert not list(store.root.glob("incoming/*/*.part"))

    again = outcomes(archive, database, store, dates="20240301-20240302", query=query)
    assert sorted((end.result, end.here) for end in again) == [("here", 1), ("here", 2)]


def test_orthanc_does_not_let_a_wrong_login_in(
    archive: dict[str, object], database: Database, store: FileStore
) -> None:
    with pytest.raises(ArchiveError, match=r"does not accept our login .HTTP status 401"):
        outcomes({**archive, "password": "wrong"}, database, store)


# Servers that are less ready to help -------------------------------------------------------------


@dataclass
class Pacs:
    """A server of our own making: it holds films, and answers as a test tells it to."""

    films: list[Dataset] = field(default_factory=list)
    page: int = 1000
    status: int = 200
    retrieve_status: int = 200
    failures: int = 0
    single: bool = False
    cut: int = 0
    garbage: bytes = b""
    retrieved: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    dates: set[str] = field(default_factory=set)

    def __call__(self, asked: Asked) -> Told:
        """Answer a request."""
        self.tokens.append(asked.headers["Authorization"])
        path, query = urlsplit(asked.target).path, parse_qs(urlsplit(asked.target).query)
        if self.failures:
            self.failures -= 1
            return Told(503)
        _, *parts = path.strip("/").split("/")
        last = parts[-1]
        if last in ("studies", "series", "instances"):
            return self._search(parts, query)
        self.retrieved.append(last)
        if self.retrieve_status != 200:
            return Told(self.retrieve_status)
        (film,) = [each for each in self.films if last == each.SOPInstanceUID]
        assert "transfer-syntax=*" in asked.headers["Accept"]
        if self.single:
            return Told(200, file(film), {"Content-Type": "application/dicom"})
        body = self.garbage or multipart(file(film))
        return Told(200, body[: len(body) - self.cut], {"Content-Type": RELATED})

    def _search(self, parts: list[str], query: dict[str, list[str]]) -> Told:
        if self.status != 200:
            return Told(self.status)
        self.dates |= set(query.get("StudyDate", ()))
        level = {"studies": "Study", "series": "Series", "instances": "SOP"}[parts[-1]]
        above = dict(zip(parts[::2], parts[1::2], strict=False))
        found: dict[str, Dataset] = {}
        for film in self.films:
            if above.get("studies", film.StudyInstanceUID) != film.StudyInstanceUID:
                continue
            if above.get("series", film.SeriesInstanceUID) != film.SeriesInstanceUID:
                continue
            if query.get("ModalitiesInStudy", [film.Modality]) != [film.Modality]:
                continue
            match = Dataset()
            for keyword in ("SOPClassUID", "Modality", "StudyDate", f"{level}InstanceUID"):
                setattr(match, keyword, film[keyword].value)
            found.setdefault(film[f"{level}InstanceUID"].value, match)
        first = int(query["offset"][0])
        page = list(found.values())[first : first + self.page]
        body = json.dumps([match.to_json_dict() for match in page]).encode()
        return Told(200 if page else 204, body if page else b"")


def at(server: WebServer, **keys: object) -> dict[str, object]:
    return {"kind": "dicomweb", "url": f"{server.url}/dicom-web", "timeout_seconds": 10, **keys}


def test_a_server_that_gives_little_at_once_is_asked_until_it_has_told_all(
    database: Database, store: FileStore
) -> None:
    study, series = uid(), uid()
    films = [cr() for _ in range(3)]
    films += [cr(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(5)]
    pacs = Pacs(films, page=2)
    with WebServer(pacs) as server:
        ends = outcomes(at(server), database, store)
    assert sorted(end.fetched for end in ends) == [1, 1, 1, 5]
    assert sorted(pacs.retrieved) == sorted(film.SOPInstanceUID for film in films)


def test_a_server_that_holds_nothing_is_no_error(database: Database, store: FileStore) -> None:
    with WebServer(Pacs()) as server:
        assert outcomes(at(server), database, store) == []


def test_the_token_is_shown_and_never_sent_elsewhere(database: Database, store: FileStore) -> None:
    pacs = Pacs([cr()])
    with WebServer(pacs) as server:
        outcomes(at(server, token="s3cret"), database, store)
    assert set(pacs.tokens) == {"Bearer s3cret"}
    elsewhere = Pacs()
    with (
        WebServer(elsewhere) as other,
        WebServer(lambda _: Told(302, headers={"Location": other.url})) as server,
        pytest.raises(ArchiveError, match="sends us elsewhere"),
    ):
        outcomes(at(server, token="s3cret"), database, store)
    assert not elsewhere.tokens


def test_only_series_of_the_wanted_modalities_and_sop_classes_that_we_take_are_fetched(
    database: Database, store: FileStore
) -> None:
    study = uid()
    film = cr(StudyInstanceUID=study)
    others = [
        cr(StudyInstanceUID=study, Modality="OT"),
        cr(StudyInstanceUID=study, SOPClassUID=CTImageStorage),
    ]
    pacs = Pacs([film, *others])
    with WebServer(pacs) as server:
        outcomes(at(server), database, store)
    assert pacs.retrieved == [film.SOPInstanceUID]


def test_a_single_file_for_an_answer_will_do(database: Database, store: FileStore) -> None:
    with WebServer(Pacs([cr()], single=True)) as server:
        (end,) = outcomes(at(server), database, store)
    assert end.result == "fetched"


def test_a_busy_server_is_asked_again(database: Database, store: FileStore) -> None:
    pacs = Pacs([cr()])
    with WebServer(pacs) as server, prepared(at(server), database, store) as run:
        studies = run.studies()
        pacs.failures = 2
        (end,) = run.run(studies)
    assert end.result == "fetched"


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (403, ArchiveError, "does not accept our login"),
        (404, ArchiveError, r"no search .QIDO-RS. at its url .HTTP status 404"),
        (503, UnavailableError, "busy"),
    ],
)
def test_a_server_that_cannot_be_searched_says_why(
    status: int, error: type[Exception], words: str, database: Database, store: FileStore
) -> None:
    with WebServer(Pacs(status=status)) as server, pytest.raises(error, match=words):
        outcomes(at(server), database, store)


def test_a_server_that_is_not_there_is_unavailable(database: Database, store: FileStore) -> None:
    nobody = {"kind": "dicomweb", "url": f"http://127.0.0.1:{peers.free_port()}"}
    with pytest.raises(UnavailableError, match="cannot be reached"):
        outcomes(nobody, database, store)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "cannot be parsed"),
        (b'[{"0020000D": {"vr": "UI", "Value": ["../../x"]}}]', "without a valid StudyInstanceUID"),
        (b"[{}]", "without a valid StudyInstanceUID"),
    ],
)
def test_an_answer_that_is_no_search_result_is_refused(
    body: bytes, words: str, database: Database, store: FileStore
) -> None:
    with WebServer(lambda _: Told(200, body)) as server, pytest.raises(RetrieveError, match=words):
        outcomes(at(server), database, store)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"retrieve_status": 404}, r"1 of its images did not come: .*HTTP status 404"),
        ({"retrieve_status": 406}, r"HTTP status 406"),
        ({"cut": 200}, "ended before its closing boundary"),
        ({"garbage": b"<html>"}, "no multipart message"),
        ({"garbage": f"--{BOUNDARY}--\r\n".encode()}, "its answer holds none"),
        ({"garbage": multipart(b"no film")}, "could not be kept here .it is no DICOM file"),
        ({"garbage": multipart(bytes(4_000_000))}, "larger than an image may be here"),
    ],
)
def test_an_image_that_does_not_come_whole_is_not_kept_and_the_run_says_why(
    how: dict[str, object], words: str, database: Database, store: FileStore
) -> None:
    with WebServer(Pacs([cr()], **how)) as server:
        (end,) = outcomes(at(server), database, store, listener__max_dataset_bytes=1_048_576)
    assert (end.result, end.failed) == ("failed", 1)
    assert re.search(words, end.reason)
    assert not held(database)
    assert not [path for path in store.root.iterdir() if path.name.startswith("tmp")]


def test_a_film_of_another_study_than_asked_for_is_not_kept(
    database: Database, store: FileStore
) -> None:
    with WebServer(Pacs([cr()], garbage=multipart(file(cr())))) as server:
        (end,) = outcomes(at(server), database, store)
    assert "belongs to another study" in end.reason
    assert not held(database)


def test_over_tls_the_servers_certificate_must_be_of_our_ca(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    trial = make_trial(tmp_path / "ours", ["127.0.0.1"], days=30, now=now)
    foreign = make_trial(tmp_path / "foreign", ["127.0.0.1"], days=30, now=now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trial.server)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(trial.ca)
    ours = {"ca": str(trial.ca), "certificate": str(trial.client)}
    with WebServer(Pacs([cr()]), context) as server:
        (end,) = outcomes(at(server, tls=ours), database, store)
        assert end.result == "fetched"
        with pytest.raises(UnavailableError, match="certificate is not accepted"):
            outcomes(at(server, tls={"ca": str(foreign.ca)}), database, store)
        with pytest.raises(UnavailableError, match="TLS failed"):
            outcomes(at(server, tls={"ca": str(trial.ca)}), database, store)


# Without being asked ---------------------------------------------------------------------------


def test_an_archive_is_polled_for_yesterday_and_today_and_what_is_new_comes(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime(2024, 3, 2, 0, 1, tzinfo=UTC)
    pacs = Pacs([cr()])
    with WebServer(pacs) as server, caplog.at_level("INFO"):
        settings = configured(
            store.root, archives=[{"name": "pacs", **at(server), "studies_per_minute": 60_000}]
        )

        def poll() -> None:
            polling.poll(settings.archives[0], settings, database, store, threading.Event(), now)

        poll()
        pacs.films += [cr(), cr()]
        poll()
        poll()
        assert len(held(database)) == 3
        assert pacs.dates == {"20240301-20240302"}
        assert [each.getMessage() for each in caplog.records if "fetched" in each.getMessage()] == [
            "1 studies were fetched from pacs.",
            "2 studies were fetched from pacs.",
        ]
        pacs.status = 403
        poll()
    assert "does not accept our login" in caplog.text
    (trail,) = (store.root / "audit").glob("*.audit")
    assert trail.read_text().count('csd-code="110112"') == 4  # Query
