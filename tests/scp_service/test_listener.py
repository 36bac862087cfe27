"""The listener over real sockets: 0x0000 means kept; everything else leaves nothing behind."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import (
    MPEG2MPML,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
)
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from db import sqlite
from db.files import FileStore, Intake
from db.models import Instance, Study, Task
from db.session import Database
from db.states import InstanceState
from scp_service.listener import SOP_CLASSES, listening
from settings import TRANSFER_SYNTAXES, Peer
from settings.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from tests import peers
from tests.db.makers import rows
from tests.peers import wire
from tests.peers.wire import Wire
from tests.scp_service.films import cr, encode
from tests.scp_service.running import associate, associated, configured, listener, send, status

CR = str(ComputedRadiographyImageStorage)
SUCCESS, INVALID_UID, CLASS_NOT_SUPPORTED = 0x0000, 0x0117, 0x0122
NO_ROOM, MISMATCH, NOT_UNDERSTOOD = 0xA700, 0xA900, 0xC000
TRANSIENT_CONGESTION, TRANSIENT_LIMIT = (2, 3, 1), (2, 3, 2)
CALLING_NOT_RECOGNISED, CALLED_NOT_RECOGNISED = (1, 1, 3), (1, 1, 7)


def films(store: FileStore) -> list[Path]:
    return sorted((store.root / "films").rglob("*.dcm"))


def unfinished(store: FileStore) -> list[Path]:
    return list((store.root / "incoming").rglob("*.part"))


def nothing_kept(database: Database, store: FileStore) -> bool:
    return (
        rows(database, Instance) == rows(database, Study) == rows(database, Task) == []
        and films(store) == unfinished(store) == []
    )


def rejection(association: Any) -> tuple[int, int, int]:
    assert association.is_rejected
    answer = association.acceptor.primitive
    return (answer.result, answer.result_source, answer.diagnostic)


def test_success_means_file_row_and_task(database: Database, store: FileStore) -> None:
    dataset = cr()
    with listener(database, store) as settings, associated(settings) as association:
        assert status(association, dataset) == SUCCESS
        (instance,) = rows(database, Instance)
        (task,) = rows(database, Task)
        (file,) = films(store)
    assert task.subject_id == instance.id
    assert store.path(instance.path) == file
    content, encoded = file.read_bytes(), encode(dataset)
    assert content.endswith(encoded), "the data set is stored byte for byte"
    assert instance.size == len(content)
    assert instance.sha256 == hashlib.sha256(encoded).hexdigest()
    assert instance.file_sha256 == hashlib.sha256(content).hexdigest()
    assert (instance.source_ae, instance.called_ae, instance.source_address) == (
        "MODALITY",
        "HILUM",
        "127.0.0.1",
    )
    kept = dcmread(file)
    assert kept == dataset
    assert kept.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert kept.file_meta.MediaStorageSOPClassUID == CR
    assert kept.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert kept.file_meta.SourceApplicationEntityTitle == "MODALITY"
    (study,) = rows(database, Study)
    assert (study.patient_id, study.accession_number, study.study_date) == (
        dataset.PatientID,
        dataset.AccessionNumber,
        "20240301",
    )


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Hold SQLite's write lock, as another program might."""
    connection = sqlite.connect(str(database.engine.url.database))
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


def test_no_success_before_the_commit(database: Database, store: FileStore) -> None:
    with (
        listener(database, store) as settings,
        associated(settings) as association,
        ThreadPoolExecutor(1) as pool,
    ):
        with locked(database):
            answer = pool.submit(status, association, cr())
            peers.wait_until(lambda: films(store), "the film on disk")
            with pytest.raises(TimeoutError):
                answer.result(0.3)
            assert len(unfinished(store)) == 1
        assert answer.result(30) == SUCCESS
        assert len(rows(database, Instance)) == 1
        assert unfinished(store) == []


def test_file_and_folder_are_synced_before_the_commit_and_that_before_the_answer(
    database: Database, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real_sync, real_commit = os.fsync, database.engine.dialect.do_commit

    def sync(descriptor: int) -> None:
        real_sync(descriptor)
        order.append(Path(f"/proc/self/fd/{descriptor}").readlink().suffix or "folder")

    def commit(connection: Any) -> None:
        real_commit(connection)
        order.append("commit")

    with listener(database, store) as settings, associated(settings) as association:
        assert status(association, cr()) == SUCCESS
        monkeypatch.setattr(os, "fsync", sync)
        monkeypatch.setattr(database.engine.dialect, "do_commit", commit)
        assert status(association, cr()) == SUCCESS
        order.append("answer")
    assert order[:4] == [".part", "folder", "commit", "answer"]


def bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return packer.compress(encode(cr()) + b"\0" * 2_000_000) + packer.flush()


REFUSED: dict[str, tuple[int, Callable[[], tuple[Any, dict[str, Any]]]]] = {
    "an instance UID that is none": (
        INVALID_UID,
        lambda: (cr(SOPInstanceUID="1.2.3"), {"sop_instance": "../../evil"}),
    ),
    "another instance UID": (MISMATCH, lambda: (cr(), {"sop_instance": "1.2.3.4"})),
    "another SOP class": (MISMATCH, lambda: (cr(SOPClassUID=CTImageStorage), {})),
    "a SOP class that is not supported": (
        CLASS_NOT_SUPPORTED,
        lambda: (cr(SOPClassUID=CTImageStorage), {"sop_class": CTImageStorage}),
    ),
    "no data set": (NOT_UNDERSTOOD, lambda: (b"\0", {})),
    "garbage": (NOT_UNDERSTOOD, lambda: (b"\xff" * 5000, {})),
    "no study": (NOT_UNDERSTOOD, lambda: (cr(StudyInstanceUID=None), {})),
    "no series": (NOT_UNDERSTOOD, lambda: (cr(SeriesInstanceUID=None), {})),
    "too many bytes": (NO_ROOM, lambda: (cr(PixelData=b"\0" * 1_100_000), {})),
    "a deflated bomb": (NO_ROOM, lambda: (bomb(), {"context": 1})),
}


def test_what_is_refused_leaves_nothing_and_the_association_goes_on(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    contexts = [(CR, str(ExplicitVRLittleEndian)), (CR, str(DeflatedExplicitVRLittleEndian))]
    with (
        listener(database, store, listener__max_dataset_bytes=1_048_576) as settings,
        associated(settings, contexts) as association,
    ):
        for name, (wanted, make) in REFUSED.items():
            dataset, how = make()
            caplog.clear()
            answer = send(association, dataset, **how)
            assert (name, answer.get("Status")) == (name, wanted)
            assert 0 < len(answer.ErrorComment) <= 64
            assert f"{wanted:04X}" in caplog.text
        assert nothing_kept(database, store)
        assert status(association, cr()) == SUCCESS
        assert status(association, cr(), context=1) == SUCCESS
    assert len(films(store)) == 2


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[FileStore]:
    """A data folder on a file system of 1 MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"needs a root user who may mount a tmpfs: {mounted.stderr.strip()}")
    try:
        made = FileStore(folder)
        made.prepare()
        yield made
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_an_answer_and_ends_with_its_cause(
    database: Database, tiny: FileStore
) -> None:
    with listener(database, tiny) as settings, associated(settings) as association:
        blocker = tiny.root / "blocker"
        blocker.write_bytes(b"x" * 700_000)
        big = cr(PixelData=b"x" * 400_000)
        assert status(association, big) == NO_ROOM
        assert nothing_kept(database, tiny)
        assert status(association, cr()) == SUCCESS, "a small film still fits"
        blocker.unlink()
        assert status(association, big) == SUCCESS


def test_associations_are_refused_as_transient_below_the_watermark(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    with listener(database, store, listener__min_free_bytes=2**60) as settings:
        assert rejection(associate(settings)) == TRANSIENT_CONGESTION
    assert "almost full" in caplog.text


@pytest.fixture
def impatient(
    fresh_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """A database that waits 0.2 seconds for a lock instead of a minute."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.2)
    with closing(Database(fresh_sqlite())) as database:
        yield database


def test_a_locked_database_is_an_answer_and_leaves_no_orphan(
    impatient: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = cr()
    with listener(impatient, store) as settings, associated(settings) as association:
        with locked(impatient):
            assert status(association, dataset) == NO_ROOM
            assert films(store) == unfinished(store) == []
        assert nothing_kept(impatient, store)
        assert status(association, dataset) == SUCCESS
    assert len(films(store)) == 1
    assert "could not be recorded (OperationalError)" in caplog.text


def test_a_failing_database_is_an_answer_and_leaves_no_orphan(
    database: Database, store: FileStore
) -> None:
    with listener(database, store) as settings, associated(settings) as association:
        with database.write() as session:
            session.execute(text("ALTER TABLE task RENAME TO gone"))
        assert status(association, cr()) == NO_ROOM
        assert films(store) == unfinished(store) == []
        with database.write() as session:
            session.execute(text("ALTER TABLE gone RENAME TO task"))
        assert nothing_kept(database, store)
        assert status(association, cr()) == SUCCESS


class LosesAnswers:
    """Makes a database's commits succeed and their answers get lost, `times` times."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self._times = times
        self._real = database.engine.dialect.do_commit
        monkeypatch.setattr(database.engine.dialect, "do_commit", self._commit)

    def _commit(self, connection: Any) -> None:
        self._real(connection)
        if self._times:
            self._times -= 1
            raise OperationalError("COMMIT", {}, Exception("the connection broke"))


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_commit_whose_answer_is_lost_never_costs_the_film(
    database_url: str, store: FileStore, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    dataset = cr()
    with closing(Database(database_url)) as database:
        with listener(database, store) as settings, associated(settings) as association:
            LosesAnswers(database, monkeypatch, times)
            answer = status(association, dataset)
            assert answer in (SUCCESS, NO_ROOM)
            monkeypatch.undo()
            assert status(association, dataset) == SUCCESS
        with listener(database, store):
            pass  # a restart settles what was left open
        (instance,) = rows(database, Instance)
        assert len(rows(database, Task)) == 1
        assert store.digest(instance.path) == instance.file_sha256
        assert films(store) == [store.path(instance.path)]
        assert unfinished(store) == []


def test_the_same_film_again_is_a_success_without_new_work(
    database: Database, store: FileStore
) -> None:
    dataset = cr()
    with listener(database, store) as settings:
        for _ in range(2):
            with associated(settings) as association:
                assert status(association, dataset) == SUCCESS
                assert status(association, dataset) == SUCCESS
    assert len(rows(database, Instance)) == len(rows(database, Task)) == len(films(store)) == 1
    assert unfinished(store) == []


def test_an_altered_film_is_kept_beside_the_first_and_flagged(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    first = cr()
    with listener(database, store) as settings, associated(settings) as association:
        assert status(association, first) == SUCCESS
        first.PatientName = "Another^Name"
        assert status(association, first) == SUCCESS
    one, two = rows(database, Instance)
    assert (one.state, two.state) == (InstanceState.RECEIVED, InstanceState.REFUSED)
    assert two.altered_from == one.id
    assert [store.digest(each.path) for each in (one, two)] == [one.file_sha256, two.file_sha256]
    assert len(rows(database, Task)) == 1
    assert "came again with other content" in caplog.text


def test_files_are_named_by_us_and_lie_in_the_data_folder(
    database: Database, store: FileStore
) -> None:
    dataset = cr(PatientID="../../../evil", PatientName="..\\..\\evil", AccessionNumber="/etc/x")
    before = set(store.root.parent.glob("*"))
    with listener(database, store) as settings, associated(settings) as association:
        assert status(association, dataset) == SUCCESS
    (file,) = films(store)
    assert len(file.stem) == 32
    assert set(file.stem) <= set("0123456789abcdef")
    assert file.parent == store.root / "films" / f"{datetime.now(UTC):%Y/%m/%d}"
    beside = {path for path in store.root.parent.glob("*") if "sqlite" not in path.name}
    assert beside <= before
    assert {path.stat().st_mode & 0o077 for path in store.root.rglob("*")} == {0}


PEER = {"ae_title": "MODALITY", "address": "127.0.0.0/8"}


@pytest.mark.parametrize(
    ("known", "titles", "answer"),
    [
        (PEER, {}, None),
        (PEER, {"calling": "STRANGER"}, CALLING_NOT_RECOGNISED),
        ({**PEER, "address": "10.0.0.0/8"}, {}, CALLING_NOT_RECOGNISED),
        (PEER, {"called": "SOMEONE"}, CALLED_NOT_RECOGNISED),
    ],
)
def test_only_known_peers_may_send(
    database: Database,
    store: FileStore,
    known: dict[str, str],
    titles: dict[str, str],
    answer: tuple[int, int, int] | None,
) -> None:
    with listener(database, store, peers=[known]) as settings:
        association = associate(settings, **titles)
        if answer is None:
            assert status(association, cr()) == SUCCESS
            association.release()
        else:
            assert rejection(association) == answer
            assert nothing_kept(database, store)


def test_a_listener_that_is_open_to_all_says_so(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    with listener(database, store) as settings, associated(settings, calling="ANYBODY"):
        assert "ANYONE" in caplog.text
    caplog.clear()
    with listener(database, store, peers=[PEER]):
        assert "ANYONE" not in caplog.text


def test_another_called_title_is_accepted_only_where_that_is_configured(
    database: Database, store: FileStore
) -> None:
    with (
        listener(database, store, listener__any_called_ae_title=True) as settings,
        associated(settings, called="SOMEONE") as association,
    ):
        assert status(association, cr()) == SUCCESS
    assert rows(database, Instance)[0].called_ae == "SOMEONE"


def test_only_what_can_be_read_is_accepted(database: Database, store: FileStore) -> None:
    unsupported = [(str(CTImageStorage), str(ExplicitVRLittleEndian)), (CR, str(MPEG2MPML))]
    with listener(database, store) as settings:
        assert not associate(settings, unsupported).is_established
        with associated(settings, [*unsupported, (CR, str(JPEG2000Lossless))]) as association:
            results = {
                (str(context.abstract_syntax), context.result)
                for context in association.rejected_contexts
            }
            assert results == {(str(CTImageStorage), 3), (CR, 4)}
            assert len(association.accepted_contexts) == 1


def test_every_class_and_syntax_of_the_conformance_statement_is_accepted(
    database: Database, store: FileStore
) -> None:
    wanted = [(str(sop_class), syntax) for sop_class in SOP_CLASSES for syntax in TRANSFER_SYNTAXES]
    with listener(database, store) as settings, associated(settings, wanted) as association:
        accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0]))
            for context in association.accepted_contexts
        }
    assert accepted == set(wanted)


def test_fewer_syntaxes_are_accepted_where_that_is_configured(
    database: Database, store: FileStore
) -> None:
    only = [str(ExplicitVRLittleEndian)]
    with listener(database, store, listener__transfer_syntaxes=only) as settings:
        assert not associate(settings, [(CR, str(JPEG2000Lossless))]).is_established
        with associated(settings):
            pass


def test_who_becomes_a_peer_may_send_without_a_restart(
    database: Database, store: FileStore
) -> None:
    known = configured(store.root, peers=[{"ae_title": "OTHER"}])
    settings = [known]
    with listening(known, database, store, lambda: settings[-1]):
        assert not associate(known).is_established
        both = (*known.peers, Peer(ae_title="MODALITY"))
        settings.append(known.model_copy(update={"peers": both}))
        association = associate(known)
        assert association.is_established
        association.release()


def test_peers_are_told_which_implementation_we_are(database: Database, store: FileStore) -> None:
    with listener(database, store) as settings, associated(settings) as association:
        acceptor = association.acceptor
        told = acceptor.implementation_class_uid, acceptor.implementation_version_name
    assert told == (IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)


def test_an_echo_is_answered(database: Database, store: FileStore) -> None:
    with listener(database, store) as settings, associated(settings) as association:
        assert association.send_c_echo().Status == SUCCESS


def test_associations_beyond_the_limit_are_refused_as_transient(
    database: Database, store: FileStore
) -> None:
    limits = {"listener__max_associations": 2, "listener__max_associations_per_address": 2}
    with listener(database, store, **limits) as settings:
        with associated(settings) as first, associated(settings) as second:
            assert rejection(associate(settings)) == TRANSIENT_LIMIT
            assert status(first, cr()) == status(second, cr()) == SUCCESS
        peers.wait_until(
            lambda: (again := associate(settings)).is_established and (again.release() or True),
            "an association once there is room again",
        )


@pytest.mark.parametrize(("most", "each"), [(4, 0), (5, 2)])
def test_one_address_cannot_take_all_places(
    database: Database, store: FileStore, most: int, each: int
) -> None:
    limits = {"listener__max_associations": most, "listener__max_associations_per_address": each}
    with listener(database, store, **limits) as settings, ExitStack() as stack:
        port = settings.listener.port
        for _ in range(2):
            assert stack.enter_context(Wire(port)).ask()[0] == wire.ASSOCIATE_AC
        with Wire(port) as third:
            assert third.ask() == (wire.ASSOCIATE_RJ, b"\x00\x02\x03\x02")
        with Wire(port, source="127.0.0.2") as another:
            assert another.ask()[0] == wire.ASSOCIATE_AC


def test_films_of_many_senders_at_once_are_all_kept(database: Database, store: FileStore) -> None:
    made = [[cr() for _ in range(8)] for _ in range(4)]
    start = threading.Barrier(len(made))
    with listener(database, store) as settings:

        def run(datasets: list[Any]) -> list[int | None]:
            with associated(settings) as association:
                start.wait()
                return [status(association, dataset) for dataset in datasets]

        with ThreadPoolExecutor(len(made)) as pool:
            answers = Counter(answer for each in pool.map(run, made) for answer in each)
    assert answers == {SUCCESS: 32}
    assert {each.sop_instance_uid for each in rows(database, Instance)} == {
        dataset.SOPInstanceUID for each in made for dataset in each
    }
    assert {store.path(each.path) for each in rows(database, Instance)} == set(films(store))
    assert len(rows(database, Task)) == 32


def test_a_restart_settles_what_a_dead_listener_left(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    with listener(database, store) as settings, associated(settings) as association:
        assert status(association, cr()) == SUCCESS
    dead = Intake(store)
    dead.put([b"a film that was never acknowledged"], datetime.now(UTC))
    os.close(dead._lock)
    assert len(films(store)) == 2
    with listener(database, store) as settings, associated(settings) as association:
        assert "1 unacknowledged films" in caplog.text
        assert len(films(store)) == 1
        assert status(association, cr()) == SUCCESS
    assert list((store.root / "incoming").iterdir()) == []


def test_a_film_under_way_is_answered_before_the_listener_ends(
    database: Database, store: FileStore
) -> None:
    settings = configured(store.root)
    running = listening(settings, database, store)
    running.__enter__()
    association = associate(settings)
    with ThreadPoolExecutor(2) as pool:
        with locked(database):
            answer = pool.submit(status, association, cr())
            peers.wait_until(lambda: films(store), "the film on disk")
            ending = pool.submit(running.__exit__, None, None, None)
            peers.wait_until(lambda: not connects(settings.listener.port), "the port to close")
        assert answer.result(30) == SUCCESS
        with pytest.raises(TimeoutError):
            ending.result(0.3)  # the sender may have more films
        assert status(association, cr()) == SUCCESS
        association.release()
        ending.result(30)
    assert len(rows(database, Instance)) == 2


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_a_port_that_is_taken_stops_the_start_and_leaves_nothing_running(
    database: Database, store: FileStore
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(OSError, match="in use"),
            listener(database, store, listener__port=port),
        ):
            pass
    assert "committer" not in {thread.name for thread in threading.enumerate()}
    assert list((store.root / "incoming").iterdir()) == []


def test_nothing_of_a_patient_is_logged(
    database: Database, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = {"PatientName": "CANARY^NAME", "PatientID": "CANARYID", "AccessionNumber": "CANARYAC"}
    dataset = cr(**canary)
    with listener(database, store) as settings, associated(settings) as association:
        assert status(association, dataset) == SUCCESS
        dataset.StudyDescription = "altered"
        assert status(association, dataset) == SUCCESS
        assert status(association, cr(**canary, StudyInstanceUID=None)) == NOT_UNDERSTOOD
        assert status(association, dataset, sop_instance="1.2.3") == MISMATCH
        with database.write() as session:
            session.execute(text("ALTER TABLE task RENAME TO gone"))
        assert status(association, cr(**canary)) == NO_ROOM
    ours = [each for each in caplog.records if not each.name.startswith(("pynetdicom", "pydicom"))]
    assert ours
    for record in ours:
        assert "CANARY" not in record.getMessage()
        assert dataset.SOPInstanceUID not in record.getMessage()
        assert record.exc_info is None
