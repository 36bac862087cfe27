"""A destination that does what a test tells it to: it accepts, answers, waits or aborts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.events import Event

from tests import peers

SR = str(Comprehensive3DSRStorage)
SR_2D = str(ComprehensiveSRStorage)
SC = str(SecondaryCaptureImageStorage)
EXPLICIT, IMPLICIT, JPEG = (
    str(ExplicitVRLittleEndian),
    str(ImplicitVRLittleEndian),
    str(JPEGBaseline8Bit),
)
EVERYTHING = ((SR, EXPLICIT), (SR_2D, EXPLICIT), (SC, JPEG), (SC, EXPLICIT))


@dataclass(frozen=True, slots=True)
class Received:
    """One C-STORE request: what it claims to be, and the data set's bytes."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    encoded: bytes
    association: Any


Answer = Callable[[Received], Any]
"""Returns a status, or a data set with one."""


class Destination:
    """An SCP on a free port; `answer` may be replaced at any time."""

    def __init__(
        self,
        contexts: Sequence[tuple[str, str]] = EVERYTHING,
        *,
        ae_title: str = "PACS",
        answer: Answer = lambda _: 0x0000,
        max_associations: int = 10,
        max_pdu: int = 16_382,
    ) -> None:
        self.port = peers.free_port()
        self.ae_title = ae_title
        self.answer = answer
        self.received: list[Received] = []
        self.associations = 0
        self.callers: set[str] = set()
        self._contexts = contexts
        self._max_associations = max_associations
        self._max_pdu = max_pdu
        self._guard = threading.Lock()
        self._server: Any = None

    def __enter__(self) -> Destination:
        """Start to listen."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop for good."""
        self.stop()

    def start(self) -> None:
        """Listen, at first or again."""
        ae = AE(self.ae_title)
        ae.require_called_aet = True
        ae.maximum_associations = self._max_associations
        ae.maximum_pdu_size = self._max_pdu
        for sop_class, syntax in self._contexts:
            ae.add_supported_context(sop_class, syntax)
        ae.add_supported_context("1.2.840.10008.1.1")
        handlers = [
            (evt.EVT_ESTABLISHED, self._on_established),
            (evt.EVT_C_STORE, self._on_store),
        ]
        address = ("127.0.0.1", self.port)
        self._server = ae.start_server(address, block=False, evt_handlers=handlers)

    def stop(self) -> None:
        """Close the port and end the associations."""
        if self._server is None:
            return
        associations = self._server.active_associations
        self._server.shutdown()
        for association in associations:
            association.abort()
        for association in associations:
            association.join(10)
        self._server = None

    @property
    def uids(self) -> list[str]:
        """The SOP Instance UIDs that came, in order, with every repetition."""
        return [each.sop_instance_uid for each in self.received]

    def _on_established(self, event: Event) -> None:
        with self._guard:
            self.associations += 1
            self.callers.add(event.assoc.requestor.ae_title)

    def _on_store(self, event: Event) -> Any:
        received = Received(
            str(event.request.AffectedSOPClassUID),
            str(event.request.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
            event.request.DataSet.getvalue(),
            event.assoc,
        )
        with self._guard:
            self.received.append(received)
        return self.answer(received)
