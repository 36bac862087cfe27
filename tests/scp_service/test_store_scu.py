"""The sender: files as they are, and every way that a peer can fail said in one sentence."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from scp_service import sockets
from scp_service.answer import PeerError
from scp_service.store_scu import VERIFICATION, Peer, Response, associated
from settings.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from tests import peers
from tests.scp_service.films import encode
from tests.scp_service.results import file, sc, sr
from tests.scp_service.scripted import (
    EXPLICIT,
    IMPLICIT,
    JPEG,
    SC,
    SR,
    SR_2D,
    Destination,
    Received,
)

# pynetdicom drops the socket of a connection that failed without closing it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTEXTS = [(SR, EXPLICIT), (SR, IMPLICIT), (SC, JPEG), (SC, EXPLICIT)]


@pytest.fixture
def destination() -> Iterator[Destination]:
    with Destination() as running:
        yield running


def peer(destination: Destination, *, timeout: float = 20, called: str | None = None) -> Peer:
    called = called or destination.ae_title
    return Peer("127.0.0.1", destination.port, called, "HILUM", timeout)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    path = tmp_path / "sc.dcm"
    path.write_bytes(file(sc(400, 600)))
    return path


def test_responses_are_read_with_quick_acknowledgement(
    destination: Destination, overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer with Nagle's algorithm on would else answer 40 ms late, every time."""
    read: list[int] = []
    receive = sockets.receive

    def recorded(connection: socket.socket, limit: int, count: int) -> bytearray:
        read.append(count)
        return receive(connection, limit, count)

    monkeypatch.setattr(sockets, "receive", recorded)
    with associated(peer(destination), CONTEXTS) as sender:
        read.clear()
        assert sender.store(overlay).stored
        assert read


def test_a_file_is_sent_as_it_is(destination: Destination, overlay: Path) -> None:
    with associated(peer(destination), CONTEXTS) as sender:
        assert sender.store(overlay) == Response(0x0000, "")
    (received,) = destination.received
    assert (received.sop_class_uid, received.transfer_syntax_uid) == (SC, JPEG)
    assert received.sop_instance_uid == dcmread(overlay).SOPInstanceUID
    assert overlay.read_bytes().endswith(received.encoded)
    assert dcmread(overlay).PixelData in received.encoded
    assert destination.callers == {"HILUM"}


def test_a_data_set_is_sent_in_what_was_agreed(destination: Destination) -> None:
    dataset = sr()
    with associated(peer(destination), CONTEXTS) as sender:
        assert sender.store(dataset).stored
    assert destination.received[0].encoded == encode(dataset)


def test_what_the_peer_takes_is_known_exactly() -> None:
    with (
        Destination([(SR, EXPLICIT), (SC, IMPLICIT)]) as destination,
        associated(peer(destination), [*CONTEXTS, (SR_2D, EXPLICIT)]) as sender,
    ):
        taken = {
            (sop_class, syntax)
            for sop_class in (SR, SR_2D, SC)
            for syntax in (EXPLICIT, IMPLICIT, JPEG)
            if sender.accepts(sop_class, syntax)
        }
    assert taken == {(SR, EXPLICIT)}


def test_peers_are_told_which_implementation_we_are(
    destination: Destination, overlay: Path
) -> None:
    told: list[tuple[str, str]] = []

    def answer(received: Received) -> int:
        requestor = received.association.requestor
        told.append((requestor.implementation_class_uid, requestor.implementation_version_name))
        return 0x0000

    destination.answer = answer
    with associated(peer(destination), CONTEXTS) as sender:
        sender.store(overlay)
    assert told == [(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)]


def test_many_objects_go_over_one_association(destination: Destination, overlay: Path) -> None:
    with associated(peer(destination), CONTEXTS) as sender:
        for _ in range(10):
            assert sender.store(overlay).stored
    assert len(destination.received) == 10
    assert destination.associations == 1


def test_a_host_may_be_a_name(destination: Destination) -> None:
    named = Peer("localhost", destination.port, "PACS", "HILUM", 20)
    with associated(named, [(VERIFICATION, IMPLICIT)]) as sender:
        assert sender.echo() == 0x0000


def test_small_messages_are_sent_at_once(destination: Destination) -> None:
    with associated(peer(destination), CONTEXTS) as sender:
        connection = sender._association.dul.socket.socket
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest.mark.parametrize(
    ("status", "stored", "temporary"),
    [
        (0x0000, True, False),
        (0xB000, True, False),
        (0xB006, True, False),
        (0xB007, True, False),
        (0xA700, False, True),
        (0xA702, False, True),
        (0xA900, False, False),
        (0xC000, False, False),
        (0x0110, False, False),
        (0x0122, False, False),
        (0x0124, False, False),
    ],
)
def test_what_a_status_means(status: int, stored: bool, temporary: bool) -> None:
    response = Response(status, "")
    assert (response.stored, response.temporary) == (stored, temporary)


def refuse(_: Received) -> Dataset:
    response = Dataset()
    response.Status = 0xA900
    response.ErrorComment = "wrong\0 patient"
    return response


def test_a_refusal_comes_with_the_peers_comment_made_fit_for_a_database(
    destination: Destination, overlay: Path
) -> None:
    destination.answer = refuse
    with associated(peer(destination), CONTEXTS) as sender:
        assert sender.store(overlay) == Response(0xA900, "wrong patient")


def test_nobody_there() -> None:
    nobody = Peer("127.0.0.1", peers.free_port(), "PACS", "HILUM", 5)
    with pytest.raises(PeerError, match="cannot be reached"), associated(nobody, CONTEXTS):
        pass


def test_a_name_that_is_none() -> None:
    nobody = Peer("no-such-host.invalid", 104, "PACS", "HILUM", 5)
    with pytest.raises(PeerError, match="cannot be reached"), associated(nobody, CONTEXTS):
        pass


def test_a_peer_that_does_not_know_us(destination: Destination) -> None:
    with (
        pytest.raises(
            PeerError,
            match=r"rejected the association .*Called AE title",
        ) as caught,
        associated(peer(destination, called="SOMEONE"), CONTEXTS),
    ):
        pass
    assert "permanent" in str(caught.value)


def test_a_peer_that_takes_nothing_of_ours() -> None:
    with (
        Destination([(SR_2D, IMPLICIT)]) as destination,
        pytest.raises(PeerError, match="none of the presentation contexts"),
        associated(peer(destination), CONTEXTS),
    ):
        pass


def test_a_port_where_nobody_speaks_dicom() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = Peer("127.0.0.1", silent.getsockname()[1], "PACS", "HILUM", 0.3)
        with pytest.raises(PeerError), associated(mute, CONTEXTS):
            pass


def test_a_peer_that_aborts(destination: Destination, overlay: Path) -> None:
    destination.answer = lambda received: received.association.abort()
    started = time.monotonic()
    with (
        associated(peer(destination), CONTEXTS) as sender,
        pytest.raises(PeerError, match="aborted the association"),
    ):
        sender.store(overlay)
    assert time.monotonic() - started < 10, "nobody waits for the answer of a peer that has gone"


def test_a_peer_that_does_not_answer_in_time(destination: Destination, overlay: Path) -> None:
    go_on = threading.Event()

    def wait(_: Received) -> int:
        go_on.wait(20)
        return 0x0000

    destination.answer = wait
    try:
        with (
            associated(peer(destination, timeout=0.5), CONTEXTS) as sender,
            pytest.raises(PeerError, match="did not answer in time"),
        ):
            sender.store(overlay)
    finally:
        go_on.set()


def test_the_associations_own_thread_takes_no_response_from_under_a_sender(
    destination: Destination, overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where pynetdicom has not noticed yet that it is paused: then it asks all the same."""
    taken = []
    with associated(peer(destination, timeout=5), CONTEXTS) as sender:
        dimse = sender._association.dimse
        real = dimse.send_msg

        def send_and_ask(*arguments: object) -> None:
            real(*arguments)
            peers.wait_until(lambda: not dimse.msg_queue.empty(), "the response")
            taken.append(dimse.get_msg(block=False))

        monkeypatch.setattr(dimse, "send_msg", send_and_ask)
        assert sender.store(overlay).stored
    assert taken == [(None, None)]


def test_an_error_of_ours_releases_the_association(destination: Destination) -> None:
    with pytest.raises(ZeroDivisionError), associated(peer(destination), CONTEXTS) as sender:
        1 / 0  # noqa: B018
    assert sender._association.is_released
