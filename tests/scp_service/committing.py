"""A PACS that does storage commitment as a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.events import Event

from tests import peers
from tests.scp_service.scripted import EVERYTHING

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
IMPLICIT = "1.2.840.10008.1.2"

Judge = Callable[[Dataset], int | None]
"""Returns a Failure Reason for a referenced instance, or None where it is committed."""


def everything_is_kept(_: Dataset) -> int | None:
    return None


class CommittingPacs:
    """Stores what comes, and answers requests for commitment.

    `answers` is "same" (over the same association), "never", or the port of a listener that is
    called for it by the AE title `calling`. `judge` and `answers` may be replaced at any time.
    """

    def __init__(
        self, answers: str | int = "same", judge: Judge = everything_is_kept, calling: str = "PACS"
    ) -> None:
        self.port = peers.free_port()
        self.answers, self.judge, self.calling = answers, judge, calling
        self.stored: list[str] = []
        self.requests: list[Dataset] = []
        self.statuses: list[int] = []
        self._threads: list[threading.Thread] = []
        self._server: Any = None

    def __enter__(self) -> CommittingPacs:
        ae = AE("PACS")
        for sop_class, syntax in EVERYTHING:
            ae.add_supported_context(sop_class, syntax)
        ae.add_supported_context(PUSH_MODEL)
        handlers = [(evt.EVT_C_STORE, self._on_store), (evt.EVT_N_ACTION, self._on_action)]
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(20)
        associations = self._server.active_associations
        self._server.shutdown()
        for association in associations:
            association.abort()
            association.join(10)

    def _on_store(self, event: Event) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _on_action(self, event: Event) -> tuple[int, None]:
        request = event.action_information
        self.requests.append(request)
        if self.answers != "never":
            thread = threading.Thread(target=self._answer, args=(request, event.assoc))
            self._threads.append(thread)
            thread.start()
        return 0x0000, None

    def _answer(self, request: Dataset, association: Any) -> None:
        if self.answers == "same":
            self.statuses.append(report(association, *self.verdict(request)))
        else:
            assert isinstance(self.answers, int)
            self.statuses.append(self.call(self.answers, *self.verdict(request)))

    def verdict(self, request: Dataset) -> tuple[int, Dataset]:
        """Return Event Type ID and Event Information for a request."""
        answer = Dataset()
        answer.TransactionUID = request.TransactionUID
        good, bad = [], []
        for item in request.ReferencedSOPSequence:
            reason = self.judge(item)
            if reason is None:
                good.append(item)
            else:
                item.FailureReason = reason
                bad.append(item)
        if good:
            answer.ReferencedSOPSequence = good
        if bad:
            answer.FailedSOPSequence = bad
        return (2 if bad else 1), answer

    def call(self, port: int, event_type: int, answer: Dataset) -> int:
        """Report over an association of our own, in the role of the SCP."""
        ae = AE(self.calling)
        ae.add_requested_context(PUSH_MODEL, IMPLICIT)
        association = ae.associate(
            "127.0.0.1",
            port,
            ae_title="HILUM",
            ext_neg=[build_role(PUSH_MODEL, scp_role=True)],
        )
        if not association.is_established:
            return -1
        status = report(association, event_type, answer)
        association.release()
        return status


def report(association: Any, event_type: int, answer: Dataset) -> int:
    """Send an N-EVENT-REPORT and return its status."""
    status, _ = association.send_n_event_report(answer, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    return int(status.Status)


class AskingPeer:
    """A modality that asks us for commitment, and listens for our answer."""

    def __init__(self, *, calling: str = "MODALITY") -> None:
        self.port = peers.free_port()
        self.calling = calling
        self.reports: list[tuple[int, Dataset]] = []
        self._server: Any = None

    def __enter__(self) -> AskingPeer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen for answers."""
        ae = AE(self.calling)
        ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
        self._server = ae.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._on_report)],
        )

    def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def ask(
        self, port: int, request: Dataset, *, action: int = 1, wait_for_report: bool = False
    ) -> int:
        """Send an N-ACTION and return its status; then release, or first wait for the answer."""
        ae = AE(self.calling)
        ae.add_requested_context(PUSH_MODEL, IMPLICIT)
        association = ae.associate(
            "127.0.0.1",
            port,
            ae_title="HILUM",
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._on_report)],
        )
        assert association.is_established
        before = len(self.reports)
        status, _ = association.send_n_action(request, action, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        if wait_for_report:
            peers.wait_until(lambda: len(self.reports) > before, "the report", seconds=20)
        association.release()
        return int(status.Status)

    def _on_report(self, event: Event) -> tuple[int, None]:
        self.reports.append((event.event_type, event.event_information))
        return 0x0000, None
