"""Which table stands where in docs/conformance.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.tables import attributes, coded, configuration, content, network, statuses
from docs.tables.marked import fill

STATEMENT = Path(__file__).resolve().parent.parent / "conformance.md"

TABLES: Mapping[str, Callable[[], str]] = {
    "services": network.services,
    "identification": network.identification,
    "accepted SOP classes": network.accepted,
    "accepted transfer syntaxes": network.accepted_syntaxes,
    "proposed for results": network.proposed,
    "proposed for fetching": network.proposed_for_fetching,
    "rejections": statuses.rejections,
    "C-STORE statuses": statuses.store,
    "C-STORE responses": statuses.store_responses,
    "N-ACTION statuses": statuses.action,
    "N-EVENT-REPORT statuses": statuses.event,
    "failure reasons": statuses.failure_reasons,
    "commitment answers": statuses.commitment_answers,
    "query keys": network.query_keys,
    "retrieve statuses": statuses.retrieve,
    "STOW-RS failure reasons": statuses.web_failure_reasons,
    "configuration": configuration.keys,
    "carried attributes": attributes.carried,
    "report attributes": attributes.report,
    "overlay attributes": attributes.overlay,
    "presentation state attributes": attributes.presentation_state,
    "report tree": content.tree,
    "codes": coded.concepts,
    "cipher suites": network.cipher_suites,
}


def written(statement: str) -> str:
    """Return the statement with its tables as the code makes them.

    Raises:
        MarkerError: a marker does not fit: a table without a place, or a place without a table.
    """
    return fill(statement, TABLES)
