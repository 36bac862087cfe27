"""`hilum fetch` as a person runs it, and as it is killed: against DCMTK and Orthanc."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db.models import Instance, Task
from db.session import Database
from tests import peers
from tests.peers.archive import dcmqrscp
from tests.scp_service.dicomweb.posting import file
from tests.scp_service.films import cr

FILMS = 24
KILLED_AT = 8


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Films of as many studies, two of them of one."""
    folder = tmp_path_factory.mktemp("films")
    made = [cr() for _ in range(FILMS - 1)]
    made.append(cr(StudyInstanceUID=made[0].StudyInstanceUID))
    paths = [folder / f"{number:02}.dcm" for number in range(FILMS)]
    for path, film in zip(paths, made, strict=True):
        path.write_bytes(file(film))
    return paths


@contextmanager
def _archive(kind: str, folder: Path, films: list[Path]) -> Iterator[dict[str, Any]]:
    """Run an archive that holds the films; yields the keys of its table."""
    if kind == "dicom":
        with dcmqrscp(folder) as server:
            sent = peers.dcmsend(films, server.port, called=server.ae_title)
            assert sent.accepted == FILMS, sent.output
            yield {"ae_title": server.ae_title, "host": "127.0.0.1", "port": server.port}
    else:
        with peers.orthanc(folder, config=peers.with_dicomweb()) as server:
            sent = peers.dcmsend(films, server.port, called=server.ae_title)
            assert sent.accepted == FILMS, sent.output
            yield {"kind": "dicomweb", "url": server.dicomweb}


@pytest.mark.parametrize("kind", ["dicom", "dicomweb"])
def test_a_fetch_that_is_killed_is_continued_by_the_same_command(
    kind: str, films: list[Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    command = ["fetch", "--date", "20240301", "--per-minute", "300"]
    with (
        _archive(kind, tmp_path / "archive", films) as table,
        closing(Database(f"sqlite:///{data}/hilum.sqlite")) as database,
    ):
        env = {
            "HILUM_DATA_DIR": str(data),
            "HILUM_LISTENER__MIN_FREE_BYTES": "0",
            "HILUM_ARCHIVES": json.dumps([{"name": "pacs", **table}]),
        }
        with peers.hilum_process(command, env, folder=tmp_path) as process:
            process.wait_for(lambda: len(list(data.glob("films/**/*.dcm"))) >= KILLED_AT)
            process.kill()
        assert len(_held(database)) < FILMS

        went_on = peers.run_hilum([*command, "--per-minute", "60000"], env, folder=tmp_path)
        assert went_on.returncode == 0, went_on.stderr + went_on.stdout
        assert "0 failed" in went_on.stdout
        again = peers.run_hilum(command, env, folder=tmp_path)
        assert f"{FILMS - 1} already here" in again.stdout
        assert "0 films came" in again.stdout

        held = _held(database)
        assert len({each.sop_instance_uid for each in held}) == len(held) == FILMS
        assert {each.state for each in held} == {"received"}
        with database.read() as session:
            tasks = session.scalars(select(Task.subject_id)).all()
        assert sorted(tasks) == sorted(each.id for each in held)
        on_disk = {str(path.relative_to(data)) for path in data.glob("films/**/*.*")}
        assert on_disk == {each.path for each in held}
        assert not list(data.glob("incoming/*/*"))


def test_what_would_come_is_listed_and_a_fetch_that_is_interrupted_says_how_it_goes_on(
    films: list[Path], tmp_path: Path
) -> None:
    env = {"HILUM_DATA_DIR": str(tmp_path / "data"), "HILUM_LISTENER__MIN_FREE_BYTES": "0"}
    with _archive("dicomweb", tmp_path / "archive", films) as table:
        env["HILUM_ARCHIVES"] = json.dumps([{"name": "pacs", **table}])
        command = ["fetch", "--all", "--per-minute", "300"]
        listed = peers.run_hilum([*command, "--dry-run"], env, folder=tmp_path)
        assert listed.returncode == 0, listed.stderr
        assert f"{FILMS - 1} studies found: {FILMS} films of {FILMS - 1} studies would come" in (
            " ".join(listed.stdout.split())
        )
        with peers.hilum_process(command, env, folder=tmp_path) as process:
            process.wait_for(lambda: len(list(tmp_path.glob("data/films/**/*.dcm"))) >= 2)
            process.send_signal(signal.SIGINT)
            assert process.wait() == 1
            assert "Stopped; the same command goes on from here." in process.log()


def _held(database: Database) -> list[Instance]:
    with database.read() as session:
        return list(session.scalars(select(Instance)))
