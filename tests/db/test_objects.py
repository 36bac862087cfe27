"""Files in a bucket: acknowledged only when safe, moved there later where it was away, no orphans.

The server is moto's, over HTTP, in a process of its own.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db.bucket import Bucket
from db.files import AwayError, FileStore, Intake, recover
from db.objects import NotHereError, ObjectStore
from db.session import Database
from db.upload import Uploader
from settings.storage import Storage
from tests.db import makers
from tests.peers.bucket import BUCKET, PREFIX, S3Server, s3_server
from tests.peers.process import ROOT, free_port

RECEIVED = datetime(2024, 3, 1, 12, tzinfo=UTC)
DATA = b"a film" * 50_000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def server(one_server: S3Server) -> S3Server:
    """A server whose bucket is empty."""
    for name in one_server.objects():
        one_server.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")
    return one_server


def storage(port: int, **values: object) -> Storage:
    usual = {
        "endpoint_url": f"http://127.0.0.1:{port}",
        "region": "us-east-1",
        "access_key": "tester",
        "secret_key": "a canary",
        "timeout_seconds": 5,
    }
    return Storage.model_validate({**usual, **values})


def store_at(folder: Path, port: int, *, wait_seconds: float = 5) -> ObjectStore:
    bucket = Bucket(f"s3://{BUCKET}/{PREFIX}", storage(port))
    made = ObjectStore(folder / "data", bucket, wait_seconds=wait_seconds)
    made.prepare()
    return made


@pytest.fixture
def store(tmp_path: Path, server: S3Server) -> ObjectStore:
    return store_at(tmp_path, server.port)


def left(store: FileStore) -> list[str]:
    """List the files below the data folder but locks."""
    found = (each for each in store.root.rglob("*") if each.is_file() and "lock" not in each.name)
    return sorted(str(each.relative_to(store.root)) for each in found)


def keep_one(store: ObjectStore) -> str:
    with closing(Intake(store)) as intake:
        relative = intake.put([DATA[:10], DATA[10:]], RECEIVED)
        intake.settle(relative, keep=True)
    return relative


def upload(database: Database, store: ObjectStore) -> int:
    return Uploader(database, store).turn(threading.Event())


def age_marks(store: ObjectStore) -> None:
    """Have what is unwanted be so for longer than a late put may take."""
    for mark in (store.root / "unwanted").iterdir():
        os.utime(mark, (0, 0))


def test_a_film_is_in_the_bucket_before_its_row_is_committed(
    store: ObjectStore, server: S3Server
) -> None:
    with closing(Intake(store)) as intake:
        relative = intake.put([DATA], RECEIVED)
        assert relative.startswith("films/2024/03/01/")
        assert server.objects() == {relative: DATA}
        intake.settle(relative, keep=True)
    assert left(store) == []
    assert store.read(relative, DIGEST) == DATA
    assert left(store) == []


@pytest.mark.parametrize("how", ["absent", "stalled"])
def test_a_film_waits_in_the_data_folder_while_the_store_is_away(
    how: str, tmp_path: Path, database: Database, server: S3Server
) -> None:
    """It is kept as durably as without a bucket, can be read, and goes there afterwards."""
    if how == "absent":
        relative = keep_one(store_at(tmp_path, free_port(), wait_seconds=1))
    else:
        with server.stalled():
            relative = keep_one(store_at(tmp_path, server.port, wait_seconds=0.5))
    store = store_at(tmp_path, server.port)
    makers.receive(database, makers.film(path=relative))
    assert left(store) == [relative]
    assert store.read(relative) == DATA
    assert upload(database, store) == 1
    assert server.objects() == {relative: DATA}
    assert left(store) == []
    assert upload(database, store) == 0


def test_one_late_answer_is_enough_for_a_while(tmp_path: Path, server: S3Server) -> None:
    """A study of many films does not wait for the store once a film."""
    store = store_at(tmp_path, server.port, wait_seconds=0.5)
    with server.stalled():
        first = keep_one(store)
    second = keep_one(store)  # the store answers again, and is not asked yet
    assert sorted(left(store)) == sorted([first, second])


def test_a_film_without_a_row_is_not_uploaded_nor_lost(
    store: ObjectStore, database: Database, server: S3Server
) -> None:
    """A wrong database_url must not cost a film."""
    FileStore.keep(store, "films/2024/03/01/0.dcm", _written(store, "0.dcm"))
    assert upload(database, store) == 0
    assert left(store) == ["films/2024/03/01/0.dcm", "incoming/0.dcm"]
    assert server.objects() == {}


def _written(store: ObjectStore, name: str) -> Path:
    path = store.root / "incoming" / name
    path.write_bytes(DATA)
    return path


def test_a_film_that_is_not_wanted_after_all_leaves_no_object(
    store: ObjectStore, database: Database, server: S3Server
) -> None:
    with closing(Intake(store)) as intake:
        kept, dropped = (intake.put([DATA], RECEIVED) for _ in range(2))
        makers.receive(database, makers.film(path=kept))
        intake.settle(dropped, keep=False)
        intake.settle(kept, keep=True)
    age_marks(store)
    upload(database, store)
    assert server.objects() == {kept: DATA}
    assert left(store) == []


_DIES = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from db.bucket import Bucket
from db.files import Intake
from db.objects import ObjectStore
from settings.storage import Storage

bucket = Bucket(sys.argv[2], Storage.model_validate_json(os.environ["STORAGE"]))
store = ObjectStore(Path(sys.argv[1]), bucket, wait_seconds=5)
store.prepare()
intake = Intake(store)
for _ in range(2):
    print(intake.put([b"a film"], datetime(2024, 3, 1, tzinfo=UTC)), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_between_put_and_commit_leaves_no_orphan(
    store: ObjectStore, database: Database, server: S3Server
) -> None:
    """Of two films that are in the bucket, the one whose row was committed stays."""
    values = storage(server.port).model_dump_json(exclude={"secret_key"})
    given = values.replace("}", ',"secret_key":"a canary"}')
    done = subprocess.run(
        [sys.executable, "-c", _DIES, str(store.root), f"s3://{BUCKET}/{PREFIX}"],
        env={**os.environ, "STORAGE": given, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    committed, orphan = done.stdout.split()
    assert sorted(server.objects()) == sorted([committed, orphan])
    makers.receive(database, makers.film(path=committed))
    assert recover(store, lambda path: path == committed) == 1
    assert not any((store.root / "incoming").iterdir())
    age_marks(store)
    upload(database, store)
    assert list(server.objects()) == [committed]


def test_an_orphan_is_found_though_the_store_is_away_at_the_start(
    tmp_path: Path, database: Database, server: S3Server
) -> None:
    store = store_at(tmp_path, server.port)
    intake = Intake(store)
    intake.put([DATA], RECEIVED)
    intake.close()
    away = store_at(tmp_path, free_port())
    assert recover(away, lambda _: False) == 1
    age_marks(store)
    with pytest.raises(AwayError):
        upload(database, away)
    assert len(server.objects()) == 1
    upload(database, store)
    assert server.objects() == {}
    assert left(store) == []


def test_results_go_to_the_bucket_once_all_are_written(
    tmp_path: Path, store: ObjectStore, server: S3Server
) -> None:
    paths = store.write_results({"sr.dcm": b"sr", "sc.dcm": b"sc"}, RECEIVED)
    store.hand_over(paths.values())
    assert server.objects() == {paths["sr.dcm"]: b"sr", paths["sc.dcm"]: b"sc"}
    assert left(store) == []
    away = store_at(tmp_path, free_port())
    again = away.write_results({"sr.dcm": b"sr 2"}, RECEIVED)
    away.hand_over(again.values())
    assert left(away) == [again["sr.dcm"]]


def test_what_differs_from_its_digest_is_not_handed_out(
    store: ObjectStore, server: S3Server
) -> None:
    relative = keep_one(store)
    damaged = DATA[:-1] + b"?"
    server.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{relative}", Body=damaged)
    with pytest.raises(OSError, match="differs from its digest"):
        store.read(relative, DIGEST)
    assert store.digest(relative) == hashlib.sha256(damaged).hexdigest()
    assert left(store) == []


def test_what_is_missing_is_told_from_a_store_that_is_away(
    tmp_path: Path, store: ObjectStore
) -> None:
    with pytest.raises(NotHereError):
        store.read("films/2024/03/01/none.dcm")
    assert store.digest("films/2024/03/01/none.dcm") is None
    away = store_at(tmp_path, free_port())
    with pytest.raises(AwayError) as raised:
        away.read("films/2024/03/01/none.dcm")
    assert not isinstance(raised.value, FileNotFoundError)
    with pytest.raises(AwayError):
        away.digest("films/2024/03/01/none.dcm")


def test_a_file_stays_near_as_long_as_anybody_needs_it(store: ObjectStore) -> None:
    relative = keep_one(store)
    with store.near(relative) as one:
        with store.near(relative) as other:
            assert one == other == store.near_path(relative)
        assert one.read_bytes() == DATA
    assert not one.exists()
    store.close()
    assert not any((store.root / "near").iterdir())


def test_what_a_killed_process_had_near_goes_at_the_next_start(
    tmp_path: Path, server: S3Server
) -> None:
    gone = tmp_path / "data" / "near" / "0123"
    living = store_at(tmp_path, server.port)
    relative = keep_one(living)
    gone.mkdir()
    (gone / "film.dcm").write_bytes(DATA)
    with living.near(relative) as path:
        store_at(tmp_path, server.port)
        assert not gone.exists()
        assert path.read_bytes() == DATA


def test_a_file_is_deleted_for_good_or_that_fails(
    tmp_path: Path, store: ObjectStore, server: S3Server
) -> None:
    relative = keep_one(store)
    with pytest.raises(AwayError):
        store_at(tmp_path, free_port()).remove(relative)
    store.remove(relative)
    assert server.objects() == {}
    store.remove(relative)


def test_what_was_kept_without_a_bucket_goes_there(
    tmp_path: Path, database: Database, server: S3Server
) -> None:
    """To set storage_url is all that it takes to move a data folder into a bucket."""
    before = FileStore(tmp_path / "data")
    before.prepare()
    with closing(Intake(before)) as intake:
        relative = intake.put([DATA], RECEIVED)
        intake.settle(relative, keep=True)
    makers.receive(database, makers.film(path=relative))
    store = store_at(tmp_path, server.port)
    assert store.read(relative) == DATA
    assert upload(database, store) == 1
    assert server.objects() == {relative: DATA}


def test_a_bucket_that_is_not_there_is_named_as_such(server: S3Server) -> None:
    other = Bucket("s3://another-bucket", storage(server.port))
    for call in (other.ping, lambda: other.get("films/x"), lambda: other.put("x", b"", seconds=5)):
        with pytest.raises(AwayError, match=r"bucket does not exist; create it.*storage_url"):
            call()


def test_a_store_that_cannot_be_reached_is_told_without_the_key() -> None:
    with pytest.raises(AwayError, match=r"cannot be reached.*storage.endpoint_url") as raised:
        Bucket(f"s3://{BUCKET}", storage(free_port())).ping()
    assert "canary" not in str(raised.value)
