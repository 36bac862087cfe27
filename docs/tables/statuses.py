"""What is answered, and what the answers of others mean."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from db.commitments import MOST_RESENDS
from db.commitments import Outcome as Committed
from docs.tables.marked import table
from scp_service.answer import Outcome
from scp_service.archives.statuses import TEXTS
from scp_service.commitment.messages import REASONS, ActionStatus, EventStatus, FailureReason
from scp_service.deliver import MOST_REFUSALS
from scp_service.destinations.dicom import answer_to
from scp_service.dicomweb.files import FailureReason as WebFailureReason
from scp_service.listener import Rejection
from scp_service.receive import Status
from scp_service.status import Status as AnyStatus
from scp_service.store_scu import Response

_RESULTS = {1: "1, permanent", 2: "2, transient"}
_SOURCES = {
    1: "1, service user",
    2: "2, service provider (ACSE)",
    3: "3, service provider (presentation)",
}
_REJECTIONS = {
    (1, 1, 7): ("called AE title not recognised", "it calls us by another AE title"),
    Rejection.CALLING_AE_NOT_RECOGNISED.value: (
        "calling AE title not recognised",
        "peers are configured, and it is none of them by AE title and address",
    ),
    Rejection.TEMPORARY_CONGESTION.value: (
        "temporary congestion",
        "less than `listener.min_free_bytes` are free in the data folder",
    ),
    (1, 2, 2): ("protocol version not supported", "bit 0 of the protocol version is not set"),
    (2, 3, 2): (
        "local limit exceeded",
        "`listener.max_associations` are open, or `listener.max_associations_per_address` of its"
        " address",
    ),
}
"""Ours, the one that pynetdicom adds, and the two that the guard does."""

_MEANS = {
    Outcome.STORED: "the object is delivered",
    Outcome.TEMPORARY: "the object is sent again, without end, with growing pauses",
    Outcome.REFUSED: f"the object is sent {MOST_REFUSALS} times in all, then given up",
    Outcome.REJECTED: "the object is given up",
}
_FOLLOWS = {
    Committed.COMMITTED: "the delivery is `committed`",
    Committed.MISSING: f"sent and asked for again, {MOST_RESENDS} times at most; then `rejected`",
    Committed.LATER: "asked for again, in a new transaction",
    Committed.REFUSED: "the delivery stays `sent`, with the reason in the history",
}


def rejections() -> str:
    """Return why associations are rejected."""
    missing = {each.value for each in Rejection} - set(_REJECTIONS)
    assert not missing, f"no words for the rejections {missing}"
    return table(
        ("result", "source", "reason", "when"),
        (
            (_RESULTS[result], _SOURCES[source], f"{reason}, {meaning}", when)
            for (result, source, reason), (meaning, when) in _REJECTIONS.items()
        ),
    )


def store() -> str:
    """Return how we answer a C-STORE."""
    return _answers(Status)


def action() -> str:
    """Return how we answer an N-ACTION."""
    return _answers(ActionStatus)


def event() -> str:
    """Return how we answer an N-EVENT-REPORT."""
    return _answers(EventStatus)


def failure_reasons() -> str:
    """Return why we do not commit ourselves to an instance."""
    return _answers(FailureReason, "Failure Reason")


def web_failure_reasons() -> str:
    """Return why an instance that came by HTTP is not stored."""
    return _answers(WebFailureReason, "Failure Reason")


def store_responses() -> str:
    """Return what every status that a destination may answer a C-STORE with means to us."""
    outcomes = [(status, answer_to(Response(status, "")).outcome) for status in range(0x10000)]
    ranges: dict[Outcome, list[str]] = {}
    for outcome, run in groupby(outcomes, key=lambda each: each[1]):
        numbers = [status for status, _ in run]
        one = f"{numbers[0]:04X}"
        ranges.setdefault(outcome, []).append(
            one if len(numbers) == 1 else f"{one} to {numbers[-1]:04X}"
        )
    most = max(ranges, key=lambda outcome: len(ranges[outcome]))
    rows = [
        (", ".join(each), _MEANS[outcome])
        for outcome, each in ranges.items()
        if outcome is not most
    ]
    return table(("status", "what follows"), [*rows, ("any other", _MEANS[most])])


def commitment_answers() -> str:
    """Return what the Failure Reasons of a destination mean to us."""
    rows = [
        (f"{reason:04X}", meaning, _FOLLOWS[outcome])
        for reason, (outcome, meaning) in sorted(REASONS.items())
    ]
    first = ("none", "committed", _FOLLOWS[Committed.COMMITTED])
    last = ("any other", "", _FOLLOWS[Committed.LATER])
    return table(("Failure Reason", "meaning", "what follows"), [first, *rows, last])


def retrieve() -> str:
    """Return what the statuses of C-FIND, C-GET and C-MOVE mean to us."""
    rows = ((f"{code:04X}", text) for code, text in sorted(TEXTS.items()))
    return table(("status", "what the archive says"), rows)


def _answers(statuses: Iterable[AnyStatus], title: str = "status") -> str:
    return table((title, "when"), ((f"{each:04X}", each.when) for each in statuses))
