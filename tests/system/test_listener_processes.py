"""A listener of several processes: one port, one limit, and who dies takes nobody else with it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread

from db.models import Instance
from db.session import Database
from tests.db.makers import rows
from tests.peers import (
    ChildProcess,
    dcmsend,
    echoscu,
    free_port,
    hilum_process,
    run_hilum,
    wait_until,
    wire,
)
from tests.peers.wire import Wire
from tests.scp_service.films import cr

PROCESSES = 2
pytestmark = pytest.mark.slow


def environment(data: Path, **settings: str) -> dict[str, str]:
    return {
        "HILUM_DATA_DIR": str(data),
        "HILUM_LISTENER__HOST": "127.0.0.1",
        "HILUM_LISTENER__PORT": str(free_port()),
        "HILUM_LISTENER__PROCESSES": str(PROCESSES),
        "HILUM_LISTENER__MIN_FREE_BYTES": "0",
        **{f"HILUM_LISTENER__{name.upper()}": value for name, value in settings.items()},
    }


@contextmanager
def listening(folder: Path, **settings: str) -> Iterator[tuple[ChildProcess, int]]:
    """Run the listener in a folder; yields it and its port when all of its processes listen."""
    env = environment(folder / "data", **settings)
    with hilum_process(["listen"], env, folder=folder) as process:
        wait_until(
            lambda: process.log().count("Listening on port") == PROCESSES,
            "all to listen",
            process=process,
        )
        yield process, int(env["HILUM_LISTENER__PORT"])


def films(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    for number in range(count):
        cr().save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return sorted(folder.iterdir())


def kept(folder: Path) -> set[str]:
    """Return the SOP Instance UIDs of the films that have a row, each with its file."""
    with closing(Database(f"sqlite:///{folder / 'data' / 'hilum.sqlite'}")) as database:
        instances = rows(database, Instance)
    for each in instances:
        assert dcmread(folder / "data" / each.path).SOPInstanceUID == each.sop_instance_uid
    return {each.sop_instance_uid for each in instances}


def test_films_over_several_associations_are_all_kept(tmp_path: Path) -> None:
    sent = films(tmp_path / "sent", 24)
    with listening(tmp_path) as (_, port), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: dcmsend(sent[i::4], port), range(4)))
    assert sum(each.accepted for each in answers) == len(sent)
    assert kept(tmp_path) == {str(dcmread(film).SOPInstanceUID) for film in sent}


def test_the_limit_is_that_of_all_processes_together(tmp_path: Path) -> None:
    limits = {"max_associations": "3", "max_associations_per_address": "2"}

    def answer(wire_: Wire) -> int:
        return wire_.ask()[0]

    with listening(tmp_path, **limits) as (_, port), ExitStack() as stack:

        def caller(source: str) -> Wire:
            return stack.enter_context(Wire(port, source=source))

        first = caller("127.0.0.2")
        assert answer(first) == answer(caller("127.0.0.2")) == wire.ASSOCIATE_AC
        assert answer(caller("127.0.0.2")) == wire.ASSOCIATE_RJ, "two of one address"
        assert answer(caller("127.0.0.3")) == wire.ASSOCIATE_AC
        assert answer(caller("127.0.0.4")) == wire.ASSOCIATE_RJ, "three in all"
        first.send(wire.release_rq())
        assert first.read()[0] == wire.RELEASE_RP
        first.connection.close()
        wait_until(lambda: answer(caller("127.0.0.4")) == wire.ASSOCIATE_AC, "room for another")


def test_a_process_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(
    tmp_path: Path,
) -> None:
    first, second = films(tmp_path / "first", 6), films(tmp_path / "second", 6)
    with listening(tmp_path) as (process, port):
        assert dcmsend(first, port).accepted == len(first)
        victim = process.children()[0]
        victim.send_signal(signal.SIGKILL)
        process.wait_for("ended by itself (signal SIGKILL); starting it again")
        wait_until(lambda: echoscu(port, called="HILUM"), "an answer", process=process)
        assert dcmsend(second, port).accepted == len(second)
        wait_until(
            lambda: process.log().count("Listening on port") == PROCESSES + 1, "the next process"
        )
        assert victim.pid not in {each.pid for each in process.children()}
        assert len(process.children()) == PROCESSES
    assert kept(tmp_path) == {str(dcmread(film).SOPInstanceUID) for film in first + second}


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    with listening(tmp_path) as (process, _):
        process.kill()
        wait_until(lambda: not process.children(), "the processes to end")


def test_a_port_that_is_taken_is_told_in_one_sentence(tmp_path: Path) -> None:
    with listening(tmp_path) as (_, port):
        env = environment(tmp_path / "other", port=str(port))
        done = run_hilum(["listen"], env, folder=tmp_path)
    assert done.returncode != 0
    assert str(port) in done.stderr or "in use" in done.stderr
    assert "Traceback" not in done.stderr
