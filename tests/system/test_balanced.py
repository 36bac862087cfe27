"""HAProxy, as `deploy/haproxy/haproxy.cfg` sets it up, in front of two listeners."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import Dataset
from sqlalchemy import select

from db.models import Instance
from db.session import Database
from tests import peers
from tests.peers import ROOT, wire
from tests.scp_service.films import cr, encode

CONFIGURATION = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
SENDER = "127.0.0.9"
FILMS = 40


def configuration(port: int, listeners: list[int], control: Path) -> str:
    """Return the file with ports of this machine in place of containers; all else stays."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    text = text.replace("bind :11112", f"bind 127.0.0.1:{port}")
    text = re.sub(r"\nresolvers containers\n(?: .*\n)+", "\n", text)
    (line,) = re.findall(r"^    server-template listener .*$", text, re.MULTILINE)
    options = re.sub(r"^.* listener:11112| resolvers .*$", "", line)
    servers = [
        f"    server listener{number} 127.0.0.1:{each}{options}"
        for number, each in enumerate(listeners, 1)
    ]
    text = text.replace(line, "\n".join(servers))
    return text.replace("\nglobal\n", f"\nglobal\n    stats socket {control} level admin\n")


def ask(control: Path, command: str) -> str:
    """Put a question to HAProxy."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(control))
        connection.sendall(f"{command}\n".encode())
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()


def of_listeners(control: Path, what: str) -> list[str]:
    """Return a figure that HAProxy holds of each listener, in order; empty before it answers."""
    try:
        rows = [line.split(",") for line in ask(control, "show stat").splitlines()]
    except OSError:
        return []
    place = rows[0].index(what)
    servers = [row for row in rows if row[0] == "listeners" and row[1] != "BACKEND"]
    return [row[place] for row in servers]


@pytest.fixture
def haproxy() -> str:
    """Where HAProxy is installed."""
    (program,) = peers.require("haproxy")
    return program


@contextlib.contextmanager
def balanced(
    haproxy: str, tmp_path: Path, database: str
) -> Iterator[tuple[int, Path, list[peers.ChildProcess]]]:
    """Run two listeners behind HAProxy; yields its port, its control socket, the listeners."""
    port, ports = peers.free_port(), [peers.free_port(), peers.free_port()]
    control, file = tmp_path / "control", tmp_path / "haproxy.cfg"
    file.write_text(configuration(port, ports, control), encoding="utf-8")
    env = {
        "HILUM_DATABASE_URL": database,
        "HILUM_DATA_DIR": str(tmp_path / "data"),
        "HILUM_LISTENER__HOST": "127.0.0.1",
        "HILUM_LISTENER__MIN_FREE_BYTES": "0",
        "HILUM_LISTENER__PROXY_PROTOCOL_FROM": '["127.0.0.1"]',
        "HILUM_PEERS": json.dumps([{"ae_title": "MODALITY", "address": SENDER}]),
    }
    with contextlib.ExitStack() as stack:
        listeners = []
        for each in ports:
            here = {**env, "HILUM_LISTENER__PORT": str(each)}
            listeners.append(
                stack.enter_context(peers.hilum_process(["listen"], here, folder=tmp_path))
            )
            listeners[-1].wait_for("Listening on port", seconds=60)
        balancer = peers.ChildProcess(
            [haproxy, "-db", "-f", file],
            log=tmp_path / "haproxy.log",
            clean_exits=(0, -signal.SIGTERM, 128 + signal.SIGTERM),
        )
        stack.enter_context(peers.running(balancer))
        balancer.wait_for(lambda: of_listeners(control, "status") == ["UP", "UP"], seconds=60)
        yield port, control, listeners


def send(connection: wire.Wire, film: Dataset) -> int:
    """Send a film over an association, and return its status."""
    connection.send(wire.store_rq(film.SOPInstanceUID))
    connection.send(wire.fragment(3, encode(film, wire.EXPLICIT), command=False))
    return connection.status()


@contextlib.contextmanager
def associated(port: int) -> Iterator[wire.Wire]:
    """Hold an association that HAProxy leads to a listener."""
    with wire.Wire(port, source=SENDER) as connection:
        assert connection.ask(wire.associate_rq(calling="MODALITY"))[0] == wire.ASSOCIATE_AC
        yield connection


def test_haproxy_takes_the_file_as_it_is(haproxy: str) -> None:
    done = subprocess.run(
        [haproxy, "-c", "-f", CONFIGURATION], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr


def test_who_may_send_is_decided_by_the_senders_address(
    haproxy: str, tmp_path: Path, postgres_url: str
) -> None:
    answers = {}
    with balanced(haproxy, tmp_path, postgres_url) as (port, _, _):
        for source in (SENDER, "127.0.0.10"):
            with wire.Wire(port, source=source) as connection:
                answers[source] = connection.ask(wire.associate_rq(calling="MODALITY"))[0]
    assert answers == {SENDER: wire.ASSOCIATE_AC, "127.0.0.10": wire.ASSOCIATE_RJ}


def test_a_listener_that_is_killed_costs_a_sender_one_association(
    haproxy: str, tmp_path: Path, postgres_url: str
) -> None:
    films = [cr() for _ in range(FILMS)]
    with balanced(haproxy, tmp_path, postgres_url) as (port, control, listeners):
        with associated(port) as connection:
            for film in films[: FILMS // 2]:
                assert send(connection, film) == 0
            serving = of_listeners(control, "scur").index("1")
            listeners[serving].kill()
            with pytest.raises(ConnectionError):
                send(connection, films[FILMS // 2])
        with associated(port) as connection:  # at once: nobody waits for the next health check
            for film in films[FILMS // 2 :]:
                assert send(connection, film) == 0
        peers.wait_until(
            lambda: of_listeners(control, "status")[serving] == "DOWN", "HAProxy to notice"
        )
    with closing(Database(postgres_url)) as database, database.read() as session:
        kept = session.execute(select(Instance.sop_instance_uid, Instance.source_address)).all()
    assert sorted(tuple(row) for row in kept) == sorted(
        (str(film.SOPInstanceUID), SENDER) for film in films
    )
