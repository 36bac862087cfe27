"""An association that the guard has let in: how its socket is read, and how much it may ask for.

pynetdicom reads from a peer for as long as it takes, keeps whatever comes in memory, and takes
further requests before it has answered the last. Here each PDU must be whole in time, what a data
set has too much is let fall, and nothing is read while a request waits for its response.
"""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_CANCEL_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.transport import AssociationSocket, RequestHandler

from scp_service import straight
from scp_service.budget import Account
from scp_service.dozing import LOOK_SECONDS, Checkpoint, may_doze
from scp_service.sockets import fill, pdu_limit, receive
from settings import Listener

_PDU_HEAD = struct.Struct(">BxL")
_P_DATA_TF = 0x04
_MOST_COMMAND_BYTES = 65_536
"""Of one command set; that of a C-STORE-RQ has some hundreds."""

_PROCESSING_FAILURE = 0x0110
"""PS3.7 annex C; what a response counts as that comes without a status."""
_ABORT = bytes.fromhex("07 00 00000004 00 00 02 00")
"""A-ABORT (PS3.8 9.3.8): service provider, reason not specified."""


class AdmittedHandler(RequestHandler):
    """Makes an association of a connection whose A-ASSOCIATE-RQ has been read."""

    server: Any
    _asked: bytes

    def setup(self) -> None:
        """Take up what the guard hands over: the request and the connection that it came by."""
        assert isinstance(self.request, tuple)
        self._asked, self.request = self.request

    def _create_association(self) -> Association:
        association = super()._create_association()
        limits = self.server.limits
        association.dul.event_queue.get_nowait()  # the socket that takes over announces itself
        connection = AdmittedSocket(association, self.request, self._asked, self.server)
        association.dul.socket = connection
        bounds = _Bounds(limits.max_dataset_bytes, connection.account)
        setattr(association.dul.state_machine, "do_action", connection.act)  # noqa: B010
        setattr(association, "run", functools.partial(connection.run, association.run))  # noqa: B010
        association.bind(evt.EVT_PDU_RECV, bounds.on_pdu)
        association.bind(evt.EVT_DIMSE_RECV, lambda event: connection.received(event.message))
        setattr(association, "_serve_request", connection.serve)  # noqa: B010
        setattr(association.dul, "_read_pdu_data", connection.read_pdu)  # noqa: B010
        return association


class AdmittedSocket(AssociationSocket):
    """The socket of an association that we accepted, with what has been read from it already."""

    def __init__(
        self, association: Association, connection: socket.socket, asked: bytes, server: Any
    ) -> None:
        """Take over a connection whose A-ASSOCIATE-RQ, `asked`, has been read."""
        limits: Listener = server.limits
        connection.settimeout(limits.pdu_timeout_seconds)  # as well for what is sent
        super().__init__(association, client_socket=connection)
        self._asked = memoryview(asked)
        self._limit = pdu_limit(limits.max_pdu_bytes)
        self._timeout = limits.pdu_timeout_seconds
        self._deadline = 0.0
        self._serve = association._serve_request
        self._counting = threading.Lock()
        self._unserved = 0
        self._act = association.dul.state_machine.do_action
        self._tell = server.refusals.tell
        self.account = Account(server.budget)
        self._store: straight.Store | None = server.store
        self._most_data_bytes = limits.max_dataset_bytes
        self._incoming: straight.Incoming | None = None
        self._read_pdu = association.dul._read_pdu_data
        self._checkpoint = Checkpoint()
        setattr(association, "_reactor_checkpoint", self._checkpoint)  # noqa: B010
        # `select` knows no descriptor beyond 1023; `poll` knows all.
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    @property
    def ready(self) -> bool:
        """Tell whether a PDU begins; it must then be whole within `listener.pdu_timeout_seconds`.

        None begins before the last request is answered: the asynchronous operations window, as it
        is not negotiated, is one (PS3.7 D.3.3.3). Nor does one before the association is:
        pynetdicom would abort it, and answer it all the same.
        """
        waits = self._unserved > 0 or self._is_being_negotiated()
        if not waits and self.account.is_overdue():
            self._give_up("others wait for the memory that its data set takes")
            return False
        begins = bool(self._asked) or (not waits and self._has_data() and self._has_memory())
        if begins:
            self._deadline = time.monotonic() + self._timeout
        return begins

    def _has_memory(self) -> bool:
        """Tell whether what has come may be read; the peer is not silent while it may not."""
        if self.account.may_read():
            return True
        self.assoc.dul._idle_timer.restart()
        if may_doze(self.assoc):
            time.sleep(LOOK_SECONDS)
        return False

    def _is_being_negotiated(self) -> bool:
        """Tell whether the association's own thread is about to answer it (PS3.8 9.2: Sta3)."""
        return self.assoc.dul.state_machine.current_state == "Sta3" and self.assoc.is_alive()

    def _has_data(self) -> bool:
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        if connection.fileno() < 0:  # closed by another thread
            self.event_queue.put("Evt17")
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        # By what `ready` has looked at before, a response to the last request is in its queue.
        patience = LOOK_SECONDS if may_doze(self.assoc) else 0
        return bool(self._poll.poll(patience * 1000))

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer where the peer closes the connection.

        Raises:
            TimeoutError: the PDU is not whole in time.
            OSError: the connection failed, or the PDU is larger than is allowed.
        """
        if self._asked:
            part, self._asked = self._asked[:nr_bytes], self._asked[nr_bytes:]
            return bytearray(part)
        if self.socket is None:
            raise OSError("the connection is closed")
        return receive(self.socket, self._limit, nr_bytes, self._deadline)

    def read_pdu(self) -> None:
        """Read the PDUs that begin, for as long as there is nothing else to do.

        After each, pynetdicom would sleep for a millisecond.
        """
        upper_layer = self.assoc.dul
        self._read_one()
        while may_doze(self.assoc) and not upper_layer._kill_thread and self.ready:
            upper_layer._idle_timer.restart()
            self._read_one()

    def _read_one(self) -> None:
        """Read a PDU: of a data set to where it belongs, any other as pynetdicom does it.

        As there: what ends the connection, or is malformed, is an event of the state machine.
        """
        upper_layer = self.assoc.dul
        if not self._goes_straight():
            self._read_pdu()
            return
        try:
            head = self.recv(_PDU_HEAD.size)
            is_data = len(head) == _PDU_HEAD.size and head[0] == _P_DATA_TF
            length = _PDU_HEAD.unpack(head)[1] if is_data else 0
            if is_data and length <= self._limit:
                self._take(head, length)
            else:
                self._let_fall()
                self._asked = memoryview(head)
                self._read_pdu()
        except straight.MalformedError:
            self._let_fall()
            upper_layer.event_queue.put("Evt19")
        except OSError:
            self._let_fall()
            upper_layer.event_queue.put("Evt17")

    def _let_fall(self) -> None:
        """Give up the data set that was coming, if one was."""
        if self._incoming is not None:
            self._incoming = None
            self.account.clear()

    def _goes_straight(self) -> bool:
        """Tell whether the next PDU may be one that is not pynetdicom's to read."""
        association = self.assoc
        longest = association.requestor.maximum_length
        return (
            self._store is not None
            and not self._asked
            and association.is_established
            and association.dul.state_machine.current_state == "Sta6"
            and association.dimse.message is None
            and (not longest or longest >= straight.LEAST_PDU_BYTES)
        )

    def _take(self, head: bytearray, length: int) -> None:
        """Take a P-DATA-TF: a C-STORE-RQ, or fragments of the data set that it announced.

        Raises:
            MalformedError: it is neither, in the middle of a data set.
            OSError: the connection failed.
        """
        if self._incoming is None:
            body = self.recv(length)
            found = straight.announced(self.assoc, memoryview(body))
            if found is None or len(body) < length:
                self._asked = memoryview(head + body)
                self._read_pdu()
                return
            request, end = found
            self._incoming = straight.Incoming(request, self._most_data_bytes, self.account)
            is_whole = self._incoming.take(length - end, straight.held(memoryview(body)[end:]))
        else:
            is_whole = self._incoming.take(length, self._fill)
        if is_whole:
            incoming, self._incoming = self._incoming, None
            self._answer(incoming)

    def _fill(self, place: memoryview) -> None:
        if self.socket is None or not fill(self.socket, place, self._deadline):
            raise OSError("the connection is closed")

    def _answer(self, incoming: straight.Incoming) -> None:
        """Keep a data set and send the response; the association's own thread waits meanwhile."""
        assert self._store is not None
        self.account.complete()
        self._checkpoint.hold()
        try:
            self.send(straight.answered(self._store, self.assoc, incoming))
        finally:
            self.account.clear()
            self.assoc.dul._idle_timer.restart()
            self._checkpoint.let_go()

    def send(self, bytestream: bytes) -> None:
        """Send; a peer that takes nothing for `listener.pdu_timeout_seconds` is hung up on."""
        with contextlib.suppress(OSError):  # it is closed: what follows finds that out
            if self.socket is not None:
                self.socket.settimeout(self._timeout)  # reading may have left it shorter
        super().send(bytestream)

    def act(self, event: str) -> None:
        """Have the state machine act on an event; what it cannot act on ends the association.

        An exception would end its thread without a word to the peer, and with the connection open.
        """
        try:
            self._act(event)
            self._checkpoint.ring()
        except Exception as error:
            if self.socket is None:
                self.assoc.dul.kill_dul()
            # An event too, by which the state machine comes to its end.
            self._give_up(type(error).__name__)

    def run(self, association: Callable[[], None]) -> None:
        """Run the association's own thread; an exception ends its connection and the other one."""
        try:
            association()
        except Exception as error:
            self._give_up(type(error).__name__)
            self.assoc.kill()
        finally:
            self.account.close()

    def _give_up(self, why: str) -> None:
        what = f"what the peer sent cannot be worked on ({why})"
        self._tell(self.assoc.requestor.address, what)
        if self.socket is not None:
            self.send(_ABORT)
            self.close()

    def received(self, message: DIMSEMessage) -> None:
        """Count a request that is to be served; by its status `serve` knows what is none."""
        if _is_request(message):
            message.command_set.pop("Status", None)
            self.account.complete()
            with self._counting:
                self._unserved += 1
        else:
            message.command_set.setdefault("Status", _PROCESSING_FAILURE)
            self.account.clear()

    def serve(self, message: Any, context_id: int) -> None:
        """Serve a request; the next is read when that is done, whether it had a response or not."""
        if message.Status is not None:
            return  # a response that nobody waits for, or one C-CANCEL too many
        try:
            if _is_answerable(message):
                self._serve(message, context_id)
            else:
                self._give_up("a request that can have no response")
        finally:
            self.account.clear()
            with self._counting:
                self._unserved -= 1


def _is_answerable(request: Any) -> bool:
    """Tell whether a request can have a response; pynetdicom would drop it without a word.

    A C-STORE-RQ that lacks its instance or its data set has one, by which it is refused: here it
    gets empty ones, with which it passes for whole.
    """
    if isinstance(request, C_STORE):
        if request.AffectedSOPInstanceUID is None:
            request._affected_sop_instance_uid = UID("")  # by its setter it would be none
        if request.DataSet is None:
            request.DataSet = BytesIO()
    return bool(request.is_valid_request)


def _is_request(message: DIMSEMessage) -> bool:
    """Tell whether a DIMSE message is a request that has a response."""
    return type(message).__name__.endswith("_RQ") and not isinstance(message, C_CANCEL_RQ)


class _Bounds:
    """Lets fall what a message has too much, so that it may come to its end and be refused."""

    def __init__(self, most_data_bytes: int, account: Account) -> None:
        self._account = account
        # One byte more is kept, by which the data set is known to be too large.
        self._most = {True: _MOST_COMMAND_BYTES, False: most_data_bytes + 1}
        self._had = {True: 0, False: 0}

    def on_pdu(self, event: Event) -> None:
        """On EVT_PDU_RECV: shorten the fragments of a P-DATA-TF to what there is room for."""
        for item in getattr(event.pdu, "presentation_data_value_items", ()):
            value = item.presentation_data_value or b""
            control = value[:1]  # PS3.8 E.2: bit 0, command or data set; bit 1, last fragment
            if not control:
                continue
            is_command, is_last = bool(control[0] & 1), bool(control[0] & 2)
            room = self._most[is_command] - self._had[is_command]
            self._had[is_command] += len(value) - 1
            if len(value) - 1 > room:
                item.presentation_data_value = value[: 1 + max(0, room)]
            self._account.add(min(len(value) - 1, max(0, room)))
            if is_last:
                self._had[is_command] = 0
