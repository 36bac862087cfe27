"""What `bench.rate` rests on: films fall due by a schedule that no slow answer moves."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bench import made_films
from bench.answering import serve
from bench.open_loop import RejectedError, Sent, offer, percentile
from bench.rate import figures_of
from bench.rate_plot import draw
from bench.receivers import CALLED, hilum
from db.models import Instance
from db.session import Database
from tests.peers import wire
from tests.peers.wire import Wire

Listening = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture
def listening() -> Iterator[Listening]:
    """Have a function serve each connection to a port, which is returned."""
    servers, threads = [], []

    def listen(serve_one: Callable[[socket.socket], None]) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve_and_close(connection: socket.socket) -> None:
            with connection:
                serve_one(connection)

        def start(target: Callable[..., None], *arguments: object) -> None:
            threads.append(threading.Thread(target=target, args=arguments, daemon=True))
            threads[-1].start()

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                start(serve_and_close, connection)

        start(accept)
        return int(server.getsockname()[1])

    yield listen
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
    for thread in threads:
        thread.join(10)


def _offer(port: int, films: int, *, rate: float = 1e6, associations: int = 1) -> list[Sent]:
    return offer(
        port, made_films.small(), called=CALLED, rate=rate, films=films,
        associations=associations, give_up_seconds=60,
    )  # fmt: skip


def test_a_film_that_waits_for_the_one_before_is_late_from_when_it_was_due(
    listening: Listening,
) -> None:
    sent = _offer(listening(serve), 10)
    assert [film.status for film in sent] == [0] * 10
    assert all(after.begun >= before.answered for before, after in pairwise(sent))
    served = sum(film.answered - film.begun for film in sent)
    assert sent[-1].latency >= served - sent[-1].due


def test_no_film_is_sent_before_it_is_due(listening: Listening) -> None:
    sent = _offer(listening(serve), 10, rate=200, associations=3)
    assert [film.due for film in sent] == pytest.approx([number / 200 for number in range(10)])
    assert all(film.begun >= film.due for film in sent)


def test_a_status_is_found_whatever_the_number_of_the_message(listening: Listening) -> None:
    def answer_all(connection: socket.socket) -> None:
        connection.recv(1)
        for number in range(1, 1 << 16):
            connection.sendall(wire.store_rsp(number))

    with Wire(listening(answer_all)) as to:
        to.send(b"1")
        assert {to.status() for _ in range(1, 1 << 16)} == {0}


def test_a_film_whose_connection_is_lost_was_never_answered_and_the_next_goes_over_another(
    listening: Listening,
) -> None:
    connections = []

    def hang_up_on_the_first(connection: socket.socket) -> None:
        connections.append(1)
        if len(connections) > 1:
            serve(connection)
            return
        connection.recv(65_536)
        # Accepts the only context, for films that are then not waited for.
        connection.sendall(wire.pdu(wire.ASSOCIATE_AC, bytes(68)))
        connection.recv(1)

    sent = _offer(listening(hang_up_on_the_first), 3)
    assert [film.status for film in sent] == [None, 0, 0]
    assert math.isinf(sent[0].latency)
    assert len(connections) == 2


def test_a_rejected_association_ends_the_run(listening: Listening) -> None:
    def reject(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(wire.pdu(wire.ASSOCIATE_RJ, bytes(4)))

    with pytest.raises(RejectedError):
        _offer(listening(reject), 1)


def test_films_that_are_not_begun_in_time_are_given_up(listening: Listening) -> None:
    sent = offer(
        listening(serve), made_films.small(), called=CALLED, rate=1e6, films=5,
        associations=1, give_up_seconds=-1,
    )  # fmt: skip
    assert [film.status for film in sent] == [None] * 5


def test_a_run_is_as_late_as_its_films_and_one_never_answered_is_never_left_out() -> None:
    sent = [Sent(n / 10, n / 10, n / 10 + 0.01 * (n + 1), 0) for n in range(10)]
    figures = figures_of(sent)
    assert figures["p50"] == pytest.approx(50)
    assert figures["max"] == pytest.approx(100)
    assert figures["achieved"] == pytest.approx(10)
    assert figures["failed"] == 0
    refused = Sent(1, 1, 1.02, 0xA700)
    unanswered = Sent(1.1, math.inf, math.inf, None)
    figures = figures_of([*sent, refused, unanswered])
    assert (figures["failed"], figures["films"]) == (2, 12)
    assert math.isinf(figures["max"])
    assert figures["p50"] == pytest.approx(50)
    assert figures["achieved"] == pytest.approx(10)


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.51, 3), (1.0, 4), (0.01, 1)])
def test_a_percentile_is_one_of_the_values(share: float, value: int) -> None:
    assert percentile([4, 2, 3, 1], share) == value


def test_the_plot_has_a_line_a_receiver_without_points_that_were_never_reached() -> None:
    points = {50.0: {"achieved": 50.0, "p99": 3.0}, 100.0: {"achieved": 60.0, "p99": None}}
    achieved, late = draw({"ours": points, "theirs": points}, [50, 100]).axes
    assert [list(line.get_ydata()) for line in achieved.lines[1:]] == [[50, 60]] * 2
    assert [list(line.get_ydata()) for line in late.lines] == [[3]] * 2


def test_a_listener_keeps_every_film_that_is_offered(tmp_path: Path) -> None:
    with hilum(tmp_path) as receiver:
        sent = _offer(receiver.port, 12, rate=50, associations=3)
    assert [film.status for film in sent] == [0] * 12
    url = f"sqlite:///{tmp_path / 'data' / 'hilum.sqlite'}"
    with closing(Database(url)) as database, database.read() as session:
        assert session.scalar(select(func.count()).select_from(Instance)) == 12
