"""What is told to those who watch: figures of what waits, and whether a role is ready."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

import metrics
from db import migrations, pauses, queue
from db.files import FileStore
from db.session import Database
from db.states import TaskKind
from scp_service.monitor import monitored
from settings import Settings
from tests import peers
from tests.peers import wire
from tests.peers.wire import Wire
from tests.scp_service.running import configured, listener


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path)
    made.prepare()
    return made


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'hilum.sqlite'}")
    migrations.upgrade(opened, tmp_path)
    yield opened
    opened.close()


@contextmanager
def told(role: str, database: Database, store: FileStore, **values: Any) -> Iterator[Settings]:
    """Have a role tell how it is doing until the end of the block."""
    port = peers.free_port()
    settings = configured(store.root, metrics__enabled=True, metrics__port=port, **values)
    with monitored(role, settings, database, store):
        yield settings


def ready(settings: Settings) -> tuple[int, dict[str, str]]:
    """Ask whether it is ready; return the status and the checks."""
    try:
        with urlopen(f"http://127.0.0.1:{settings.metrics.port}/health/ready") as answer:
            return answer.status, json.load(answer)["checks"]
    except HTTPError as error:
        with error:
            return error.code, json.load(error)["checks"]


def figures(settings: Settings) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return all samples by name and labels."""
    with urlopen(f"http://127.0.0.1:{settings.metrics.port}/metrics") as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_scheduler_tells_what_waits_and_for_how_long(
    database: Database, store: FileStore
) -> None:
    with database.write() as session:
        now = database.now(session)
        queue.enqueue(session, TaskKind.READ, [1, 2, 3], now=now)
        queue.enqueue(session, TaskKind.DELIVER, [4, 5], now=now, lane="pacs")
        leases = queue.claim(session, TaskKind.READ, owner="w", now=now, lease_seconds=30, limit=2)
        queue.quarantine(session, leases[0], error="e")
        queue.enqueue(session, TaskKind.DELIVER, [6], now=now, lane="other")
        pauses.pause(session, "other", by="ada", reason=None, now=now)
    with told("schedule", database, store) as settings:
        found = figures(settings)
    for state in ("ready", "leased", "quarantined"):
        assert found["hilum_tasks", (("kind", "read"), ("state", state))] == 1
    assert 0 <= found["hilum_oldest_task_age_seconds", (("kind", "read"),)] < 60
    assert found["hilum_undelivered_objects", (("destination", "pacs"),)] == 2
    assert found["hilum_destination_paused", (("destination", "pacs"),)] == 0
    assert found["hilum_destination_paused", (("destination", "other"),)] == 1
    assert found["hilum_database_up", ()] == 1
    assert found["hilum_data_free_bytes", ()] > 0


def test_a_database_that_is_gone_is_told_and_nothing_else_fails(
    tmp_path: Path, store: FileStore
) -> None:
    gone = Database(f"sqlite:///{tmp_path / 'no' / 'such.sqlite'}")
    with told("schedule", gone, store) as settings:
        found = figures(settings)
        status, checks = ready(settings)
    gone.close()
    assert found["hilum_database_up", ()] == 0
    assert not any(name == "hilum_tasks" for name, _ in found)
    assert (status, checks["storage"]) == (503, "ok")
    assert "does not answer" in checks["database"]


def test_a_role_is_ready_where_everything_that_it_needs_is_there(
    database: Database, store: FileStore
) -> None:
    with told("listen", database, store) as settings:
        assert ready(settings) == (200, {"database": "ok", "storage": "ok"})
    with told("listen", database, store, listener__min_free_bytes=2**62) as settings:
        status, checks = ready(settings)
        assert (status, checks["database"]) == (503, "ok")
        assert "min_free_bytes" in checks["storage"]


def test_a_film_that_waits_for_too_long_makes_the_scheduler_unready(
    database: Database, store: FileStore
) -> None:
    with database.write() as session:
        queue.enqueue(session, TaskKind.READ, [1], now=database.now(session))
    with told("schedule", database, store) as settings:
        assert ready(settings)[0] == 200
    with told("schedule", database, store, alarms__queue_minutes=1e-9) as settings:
        status, checks = ready(settings)
        assert (status, checks["queue"][:14]) == (503, "a film or repo")


def test_a_worker_is_ready_once_a_bundle_is_loaded(database: Database, store: FileStore) -> None:
    metrics.BUNDLE.clear()  # what other tests of this process have loaded
    loaded = metrics.BUNDLE.labels("a bundle 1", "openvino")
    with told("work", database, store) as settings:
        loaded.set(0)
        assert ready(settings)[1]["model"] == "no bundle is loaded"
        loaded.set(1)
        assert ready(settings)[1]["model"] == "ok"
        loaded.set(0)


def test_who_asks_for_no_association_is_counted(database: Database, store: FileStore) -> None:
    with listener(database, store) as to, told("listen", database, store) as settings:
        with socket.create_connection(("127.0.0.1", to.listener.port), timeout=10) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert peer.recv(10)
        refused = "hilum_associations_refused_total", (("reason", "no_association_request"),)
        assert figures(settings)[refused] == 1


def test_whose_address_has_no_place_left_is_counted(database: Database, store: FileStore) -> None:
    limits = {"listener__max_associations": 2}
    with listener(database, store, **limits) as to, told("listen", database, store) as settings:
        with Wire(to.listener.port) as first, Wire(to.listener.port) as second:
            assert first.ask()[0] == wire.ASSOCIATE_AC
            assert second.ask()[0] == wire.ASSOCIATE_RJ
        refused = "hilum_associations_refused_total", (("reason", "address_limit_exceeded"),)
        assert figures(settings)[refused] >= 1


def test_nothing_is_told_unless_that_is_enabled(database: Database, store: FileStore) -> None:
    settings = configured(store.root, metrics__port=peers.free_port())
    with monitored("listen", settings, database, store), pytest.raises(OSError, match="refused"):
        urlopen(f"http://127.0.0.1:{settings.metrics.port}/metrics")


def test_clients_that_say_nothing_leave_room_for_no_thread_without_end(
    database: Database, store: FileStore
) -> None:
    with told("listen", database, store) as settings, ExitStack() as stack:
        address = ("127.0.0.1", settings.metrics.port)
        silent = [stack.enter_context(socket.create_connection(address)) for _ in range(16)]
        one_more = stack.enter_context(socket.create_connection(address, timeout=10))
        assert one_more.recv(1) == b""  # hung up on
        silent.pop().close()
        peers.wait_until(lambda: _answers(settings), "room for another client")


def _answers(settings: Settings) -> bool:
    try:
        return ready(settings)[0] == 200
    except OSError:
        return False
