"""`hilum dicomweb`: killed at any moment it loses nothing; what it cannot do it says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import requests
from pydicom import Dataset
from sqlalchemy import select

from db.models import Instance
from db.session import Database
from tests import peers
from tests.scp_service.dicomweb.posting import RELATED, file, multipart
from tests.scp_service.films import cr

FILMS = 30
KILLS = 2


def test_what_was_acknowledged_before_a_kill_is_there_once_and_no_file_is_without_its_row(
    tmp_path: Path,
) -> None:
    port, data = peers.free_port(), tmp_path / "data"
    env = {
        "HILUM_DATA_DIR": str(data),
        "HILUM_LISTENER__MIN_FREE_BYTES": "0",
        "HILUM_DICOMWEB__PORT": str(port),
    }
    url = f"http://127.0.0.1:{port}"
    films = [cr() for _ in range(FILMS)]
    acknowledged: list[str] = []

    @contextmanager
    def running() -> Iterator[peers.ChildProcess]:
        with peers.hilum_process(["dicomweb"], env, folder=tmp_path) as process:
            process.wait_for(lambda: _answers(url), seconds=60)
            yield process

    def send() -> None:
        """Send as a PACS does: whatever is not acknowledged is sent again."""
        for start in range(0, FILMS, 2):
            pair = films[start : start + 2]
            peers.wait_until(lambda pair=pair: _post(url, *pair), "an answer", seconds=90)
            acknowledged.extend(str(each.SOPInstanceUID) for each in pair)

    with (
        ThreadPoolExecutor(1) as pool,
        closing(Database(f"sqlite:///{data}/hilum.sqlite")) as database,
    ):
        sent = pool.submit(send)
        for number in range(1, KILLS + 1):
            with running() as process:
                due = FILMS * number // (KILLS + 1)
                process.wait_for(lambda due=due: sent.done() or len(acknowledged) >= due)
                process.kill()
                known = set(acknowledged)
            assert known <= {each.sop_instance_uid for each in _held(database)}
        with running():
            sent.result()
        held = _held(database)
    assert sorted(each.sop_instance_uid for each in held) == sorted(acknowledged)
    assert len(acknowledged) == FILMS
    on_disk = {str(path.relative_to(data)) for path in data.glob("films/**/*.*")}
    assert on_disk == {each.path for each in held}
    assert not list(data.glob("incoming/*/*"))


def test_a_port_that_is_taken_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {"HILUM_DATA_DIR": str(tmp_path / "data"), "HILUM_DICOMWEB__PORT": str(port)}
        done = peers.run_hilum(["dicomweb"], env, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"hilum: cannot listen on 127.0.0.1, port {port} (Address already in use);"
        " set dicomweb.host or dicomweb.port"
    )


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


def _post(url: str, *films: Dataset) -> bool:
    """Send films; tell whether all of them were acknowledged."""
    try:
        response = requests.post(
            f"{url}/dicomweb/studies",
            data=multipart(*map(file, films)),
            headers={"Content-Type": RELATED},
            timeout=30,
        )
    except requests.ConnectionError:
        return False
    return response.status_code == 200


def _held(database: Database) -> list[Instance]:
    with database.read() as session:
        return list(session.scalars(select(Instance)))
