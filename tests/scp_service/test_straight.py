"""C-STORE taken in the thread that reads it: the same answers, and the same films, as by events."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydicom import Dataset
from pynetdicom.dsutils import decode as decode_command

from db.files import FileStore
from db.models import Instance
from db.session import Database
from scp_service import straight
from scp_service.receive import Receiver
from scp_service.straight import FAILED, Request, announced, response
from tests.db.makers import rows
from tests.peers import wire
from tests.peers.wire import Wire
from tests.scp_service.films import cr, encode, uid
from tests.scp_service.running import listener

CONTEXT = 3
_HEAD = 6


def association(transfer_syntax: str = wire.EXPLICIT) -> Any:
    context = SimpleNamespace(abstract_syntax=wire.CR_STORAGE, transfer_syntax=[transfer_syntax])
    return cast(Any, SimpleNamespace(_accepted_cx={CONTEXT: context}))


def items(pdu: bytes) -> memoryview:
    return memoryview(pdu[_HEAD:])


def command_of(pdu: bytes) -> Dataset:
    return decode_command(BytesIO(pdu[_HEAD + 6 :]), True, True)


def with_command(change: Callable[[bytes], bytes], **how: Any) -> bytes:
    """Return a C-STORE-RQ whose command set is changed."""
    command = change(wire.store_rq("1.2.3", **how)[_HEAD + 6 :])
    return wire.fragment(CONTEXT, command, command=True)


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHL", group, number, len(value)) + value


# What is announced ----------------------------------------------------------------------------


def test_a_store_request_is_known_by_its_command() -> None:
    found = announced(association(), items(wire.store_rq("1.2.3", 7)))
    assert found is not None
    request, end = found
    assert request == Request(CONTEXT, wire.CR_STORAGE, wire.EXPLICIT, 7, wire.CR_STORAGE, "1.2.3")
    assert end == len(wire.store_rq("1.2.3", 7)) - _HEAD


@pytest.mark.parametrize(
    "pdu",
    [
        wire.echo_rq(context_id=CONTEXT),
        wire.store_rsp(),
        wire.store_rq("1.2.3", context_id=5),
        wire.store_rq("1.2.3", has_data=False),
        wire.store_rq(None),
        wire.store_rq("no uid"),
        wire.store_rq("1." * 40 + "1"),
        wire.fragment(CONTEXT, b"data", command=False),
        wire.fragment(CONTEXT, wire.store_rq("1.2.3")[12:], command=True, last=False),
        with_command(lambda command: command + element(0x0900, b"\0\0")),
        with_command(lambda command: command + element(0x1000, b"1.2.4\0")),
        with_command(lambda command: command + element(0x0010, b"", group=8)),
        with_command(lambda command: command[:-1]),
        with_command(lambda command: command + b"\0\0\0"),
        with_command(lambda command: command.replace(b"\x10\x01\x02\0\0\0", b"\x10\x01\x03\0\0\0")),
        with_command(lambda command: command + element(0x5010, bytes(5000))),
        wire.pdu(wire.P_DATA, b""),
        wire.pdu(wire.P_DATA, struct.pack(">LBB", 2, CONTEXT, 3)),
        wire.pdu(wire.P_DATA, struct.pack(">LBB", 900, CONTEXT, 3) + b"short"),
    ],
)
def test_what_is_not_quite_that_is_left_alone(pdu: bytes) -> None:
    assert announced(association(), items(pdu)) is None


def test_the_response_is_as_the_standard_has_it() -> None:
    request = Request(CONTEXT, wire.CR_STORAGE, wire.EXPLICIT, 7, wire.CR_STORAGE, "1.2.34")
    pdu = response(request, 0xC000, "the data set cannot be parsed")
    assert struct.unpack(">BxLLBB", pdu[:12]) == (4, len(pdu) - 6, len(pdu) - 10, CONTEXT, 3)
    command = command_of(pdu)
    assert command.CommandGroupLength == len(pdu) - 12 - 12
    assert command.CommandField == 0x8001
    assert command.MessageIDBeingRespondedTo == 7
    assert command.CommandDataSetType == 0x0101
    assert command.AffectedSOPClassUID == wire.CR_STORAGE
    assert command.AffectedSOPInstanceUID == "1.2.34"
    assert command.Status == 0xC000
    assert command.ErrorComment == "the data set cannot be parsed"
    assert [each.tag for each in command] == sorted(each.tag for each in command)
    assert "ErrorComment" not in command_of(response(request, 0, ""))


# On the wire ----------------------------------------------------------------------------------


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instances that went straight."""
    found: list[str] = []
    real = straight.answered

    def spy(store: Any, association: Any, incoming: Any) -> bytes:
        found.append(incoming.request.sop_instance_uid)
        return real(store, association, incoming)

    monkeypatch.setattr(straight, "answered", spy)
    return found


@contextmanager
def peer(database: Database, store: FileStore, **values: Any) -> Iterator[Wire]:
    with (
        listener(database, store, **values) as settings,
        Wire(settings.listener.port) as connection,
    ):
        assert connection.ask()[0] == wire.ASSOCIATE_AC
        # When this is answered the association is established on both sides.
        connection.send(wire.echo_rq())
        assert connection.status() == 0
        yield connection


def film(name: str) -> bytes:
    return encode(cr(SOPInstanceUID=name))


def parted(data: bytes, *sizes: int) -> bytes:
    """Return the P-DATA-TFs of a data set, in fragments of these sizes and one with the rest."""
    pdus = b""
    for size in sizes:
        pdus += wire.fragment(CONTEXT, data[:size], command=False, last=False)
        data = data[size:]
    return pdus + wire.fragment(CONTEXT, data, command=False)


def joined(*pdus: bytes) -> bytes:
    """Return one P-DATA-TF with all items of some."""
    return wire.pdu(wire.P_DATA, b"".join(pdu[_HEAD:] for pdu in pdus))


def test_a_film_is_kept_as_it_came_however_it_is_parted(
    database: Database, store: FileStore, taken: list[str]
) -> None:
    names = [uid() for _ in range(6)]
    films = {name: film(name) for name in names}
    whole = [
        wire.store_rq(names[0]) + parted(films[names[0]]),
        wire.store_rq(names[1]) + parted(films[names[1]], 0, 1, 2, 3, 700),
        joined(wire.store_rq(names[2]), parted(films[names[2]])),
        joined(wire.store_rq(names[3]), wire.fragment(CONTEXT, b"", command=False, last=False))
        + parted(films[names[3]], 50),
        wire.store_rq(names[4])
        + joined(
            wire.fragment(CONTEXT, films[names[4]][:10], command=False, last=False),
            wire.fragment(CONTEXT, films[names[4]][10:], command=False),
        ),
        # The command in two fragments is pynetdicom's.
        wire.fragment(CONTEXT, wire.store_rq(names[5])[12:40], command=True, last=False)
        + wire.fragment(CONTEXT, wire.store_rq(names[5])[40:], command=True)
        + parted(films[names[5]]),
    ]
    with peer(database, store) as connection:
        for pdus in whole:
            connection.send(pdus)
            assert connection.status() == 0
        connection.send(wire.release_rq())
        assert connection.read()[0] == wire.RELEASE_RP
    assert taken == names[:5]
    kept = {each.sop_instance_uid: store.read(each.path) for each in rows(database, Instance)}
    assert set(kept) == set(names)
    assert all(kept[name].endswith(films[name]) for name in names)


def test_one_byte_at_a_time_is_as_good(
    database: Database, store: FileStore, taken: list[str]
) -> None:
    name = uid()
    with peer(database, store) as connection:
        for byte in wire.store_rq(name) + parted(film(name), 40):
            connection.send(bytes([byte]))
        assert connection.status() == 0
    assert taken == [name]


def test_too_large_a_film_is_refused_and_the_next_one_taken(
    database: Database, store: FileStore, taken: list[str]
) -> None:
    large, small = uid(), uid()
    data = film(small)
    with peer(database, store, listener__max_dataset_bytes=2**20) as connection:
        connection.send(
            wire.store_rq(large) + parted(film(large) + bytes(2**20), 100_000, 7, 900_000)
        )
        assert connection.status() == 0xA700
        connection.send(wire.store_rq(small) + parted(data))
        assert connection.status() == 0
    assert taken == [large, small]
    assert [each.sop_instance_uid for each in rows(database, Instance)] == [small]


@pytest.mark.parametrize(
    "wrong",
    [
        wire.store_rq("1.2.3"),
        wire.fragment(CONTEXT, b"", command=True),
        wire.pdu(wire.P_DATA, b"\0\0"),
        wire.pdu(wire.P_DATA, struct.pack(">LBB", 1, CONTEXT, 0)),
        wire.pdu(wire.P_DATA, struct.pack(">LBB", 99, CONTEXT, 0) + b"short"),
        joined(
            wire.fragment(CONTEXT, b"last", command=False),
            wire.fragment(CONTEXT, b"one too many", command=False),
        ),
        wire.pdu(0x09, b""),
    ],
)
def test_what_is_no_fragment_of_a_data_set_ends_the_association(
    database: Database, store: FileStore, taken: list[str], wrong: bytes
) -> None:
    with peer(database, store) as connection:
        connection.send(wire.store_rq("1.2.3"))
        connection.send(wire.fragment(CONTEXT, b"begins", command=False, last=False))
        connection.send(wrong)
        assert connection.read()[0] == wire.ABORT
        assert connection.is_closed_by_peer()
    assert taken == []
    assert rows(database, Instance) == []


def test_a_release_in_the_middle_of_a_data_set_is_answered_and_nothing_kept(
    database: Database, store: FileStore
) -> None:
    with peer(database, store) as connection:
        connection.send(wire.store_rq("1.2.3"))
        connection.send(wire.fragment(CONTEXT, b"begins", command=False, last=False))
        connection.send(wire.release_rq())
        assert connection.read()[0] == wire.RELEASE_RP
    assert rows(database, Instance) == []


def test_a_failure_of_ours_is_an_answer_without_its_text(
    database: Database,
    store: FileStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("CANARY^NAME")

    with peer(database, store) as connection:
        monkeypatch.setattr(Receiver, "count", fail)
        connection.send(wire.store_rq("1.2.3") + parted(b"no data set"))
        assert connection.status() == FAILED
        monkeypatch.undo()
        name = uid()
        connection.send(wire.store_rq(name) + parted(film(name)))
        assert connection.status() == 0
    assert "the listener failed (ValueError)" in caplog.text
    assert "CANARY" not in caplog.text


def test_a_peer_whose_pdus_hold_next_to_nothing_is_answered_in_parts(
    database: Database, store: FileStore, taken: list[str]
) -> None:
    name = uid()
    with (
        listener(database, store) as settings,
        Wire(settings.listener.port) as connection,
    ):
        assert connection.ask(wire.associate_rq(max_length=100))[0] == wire.ASSOCIATE_AC
        connection.send(wire.store_rq(name) + parted(film(name)))
        first = connection.read()
        assert first[0] == wire.P_DATA
        assert len(first[1]) <= 100
    assert taken == []
