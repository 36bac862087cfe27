"""C-STORE requests that are as they mostly are: taken and answered in the thread that reads them.

pynetdicom hands every request from one thread to another and its response back, makes objects of
each fragment and of each command, and copies the data set several times. Here the fragments of a
data set are read to where they belong, and the response is written out. That holds for requests
whose command comes whole and holds what PS3.7 9.3.1.1 asks for; whatever else comes, also what is
wrong with a command, is left to pynetdicom, byte for byte as it came.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass

from pynetdicom.association import Association

from scp_service.budget import Account
from scp_service.header import is_uid

_log = logging.getLogger(__name__)

_ELEMENT = struct.Struct("<HHL")
"""Tag and length of an element of a command set: implicit VR, little endian (PS3.7 6.3.1)."""
_ITEM = struct.Struct(">LBB")
"""Of a presentation data value item: length, context id, message control header (PS3.8 9.3.5.1)."""
ITEM_HEAD = _ITEM.size
_IN_LENGTH = 2
"""What of an item's head its length counts."""
_COMMAND, _LAST = 1, 2
"""Bits of the message control header (PS3.8 E.2)."""
_SOP_CLASS, _FIELD, _MESSAGE_ID, _DATA_SET_TYPE, _STATUS, _SOP_INSTANCE = (
    0x0002,
    0x0100,
    0x0110,
    0x0800,
    0x0900,
    0x1000,
)
"""Elements of group 0000 (PS3.7 E.1)."""
_STORE_REQUEST, _STORE_RESPONSE = 0x0001, 0x8001
_NO_DATA_SET = 0x0101
_MOST_COMMAND_BYTES = 4096
"""A command that is longer is left to pynetdicom; this one has some hundreds."""
_PART_BYTES = 256 * 1024
"""How much room is made at a time, before a peer has sent what it announced."""
LEAST_PDU_BYTES = 1024
"""What a peer's PDUs must hold at least: a response then need not be parted."""
_P_DATA = 0x04
_HEAD = struct.Struct(">BxLLBB")
FAILED = 0xC211
"""What pynetdicom answers where a handler fails."""


class MalformedError(Exception):
    """The fragments of a data set are not as PS3.8 9.3.5 says."""


@dataclass(frozen=True, slots=True)
class Request:
    """A C-STORE-RQ, and what was agreed on for its presentation context."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


Store = Callable[[Association, Request, memoryview], tuple[int, str]]
"""Keeps a data set; returns the status and the Error Comment of the response."""
Read = Callable[[memoryview], None]
"""Fills the bytes that it is given from the connection."""


class Incoming:
    """The data set that an association is sending.

    Args:
        request: what it was announced by.
        most_bytes: how many are kept; one more tells that there were too many.
        account: where they are booked.
    """

    def __init__(self, request: Request, most_bytes: int, account: Account) -> None:
        self.request = request
        self.encoded = bytearray()
        self._most = most_bytes + 1
        self._account = account

    def take(self, length: int, read: Read) -> bool:
        """Read the items of a P-DATA-TF of a length; return whether that was the last of them.

        Raises:
            MalformedError: they are no fragments of a data set; the P-DATA-TF is read to its end.
            OSError: the connection failed.
        """
        head = bytearray(ITEM_HEAD)
        last = False
        while length >= ITEM_HEAD and not last:
            read(memoryview(head))
            count, _, control = _ITEM.unpack(head)
            count -= _IN_LENGTH
            length -= ITEM_HEAD
            if not 0 <= count <= length or control & _COMMAND:
                break
            self._fill(count, read)
            length -= count
            last = bool(control & _LAST)
        else:
            if length == 0:
                return last
        read(memoryview(bytearray(length)))
        raise MalformedError

    def _fill(self, count: int, read: Read) -> None:
        """Read a fragment to the end of what has come; what there is no room for is let fall."""
        while count > 0:
            room = self._most - len(self.encoded)
            part = min(count, _PART_BYTES)
            count -= part
            if room <= 0:
                read(memoryview(bytearray(part)))
                continue
            start = len(self.encoded)
            self.encoded.extend(bytes(part))
            with memoryview(self.encoded) as whole, whole[start:] as place:
                read(place)
            del self.encoded[self._most :]
            self._account.add(min(part, room))


def held(items: memoryview) -> Read:
    """Return what reads from items that are there already."""
    at = 0

    def read(place: memoryview) -> None:
        nonlocal at
        place[:] = items[at : at + len(place)]
        at += len(place)

    return read


def announced(association: Association, items: memoryview) -> tuple[Request, int] | None:
    """Return the C-STORE-RQ that a P-DATA-TF begins with, and its length; None: it does not."""
    if len(items) < ITEM_HEAD:
        return None
    count, context_id, control = _ITEM.unpack_from(items)
    end = ITEM_HEAD - _IN_LENGTH + count
    context = association._accepted_cx.get(context_id)
    if context is None or control & 3 != _COMMAND | _LAST or not ITEM_HEAD < end <= len(items):
        return None
    values = _values(items[ITEM_HEAD:end])
    field, message_id, data_set = (
        _number(values.get(element)) for element in (_FIELD, _MESSAGE_ID, _DATA_SET_TYPE)
    )
    sop_class, sop_instance = (_uid(values.get(each)) for each in (_SOP_CLASS, _SOP_INSTANCE))
    is_store = field == _STORE_REQUEST and data_set not in (None, _NO_DATA_SET)
    has_uids = is_uid(sop_class) and is_uid(sop_instance)
    if not is_store or not has_uids or message_id is None or _STATUS in values:
        return None
    abstract, transfer = str(context.abstract_syntax), str(context.transfer_syntax[0])
    return Request(context_id, abstract, transfer, message_id, sop_class, sop_instance), end


def response(request: Request, status: int, comment: str) -> bytes:
    """Return the P-DATA-TF of a C-STORE-RSP (PS3.7 9.3.1.2)."""
    elements = [
        (_SOP_CLASS, _padded(request.sop_class_uid, b"\0")),
        (_FIELD, struct.pack("<H", _STORE_RESPONSE)),
        (0x0120, struct.pack("<H", request.message_id)),
        (_DATA_SET_TYPE, struct.pack("<H", _NO_DATA_SET)),
        (_STATUS, struct.pack("<H", status)),
        *([(0x0902, _padded(comment, b" "))] if comment else []),
        (_SOP_INSTANCE, _padded(request.sop_instance_uid, b"\0")),
    ]
    rest = b"".join(_ELEMENT.pack(0, number, len(value)) + value for number, value in elements)
    command = _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(rest)) + rest
    length = len(command) + _IN_LENGTH
    head = _HEAD.pack(_P_DATA, length + 4, length, request.context_id, _COMMAND | _LAST)
    return head + command


def answered(store: Store, association: Association, incoming: Incoming) -> bytes:
    """Keep what has come whole, and return the response; that there is one nothing prevents."""
    try:
        with memoryview(incoming.encoded) as encoded:
            status, comment = store(association, incoming.request, encoded)
    except Exception as error:
        _log.error("A film was refused: the listener failed (%s).", type(error).__name__)
        status, comment = FAILED, "the listener failed"
    return response(incoming.request, status, comment)


def _values(command: memoryview) -> dict[int, bytes]:
    """Return the elements of a command set; none where they are not as they should be."""
    values: dict[int, bytes] = {}
    at = 0
    while at + _ELEMENT.size <= len(command) <= _MOST_COMMAND_BYTES:
        group, element, length = _ELEMENT.unpack_from(command, at)
        at += _ELEMENT.size
        if group or element in values:
            return {}
        values[element] = bytes(command[at : at + length])
        at += length
    return values if at == len(command) else {}


def _number(value: bytes | None) -> int | None:
    return int.from_bytes(value, "little") if value is not None and len(value) == 2 else None


def _uid(value: bytes | None) -> str:
    """Return a UID; empty where it is none."""
    return (value or b"").rstrip(b"\0 ").decode("ascii", "replace")


def _padded(text: str, filling: bytes) -> bytes:
    encoded = text.encode("ascii", "replace")
    return encoded + filling * (len(encoded) % 2)
