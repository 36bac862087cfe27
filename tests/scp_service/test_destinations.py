"""The registry of kinds: what may be configured can be reached."""

from __future__ import annotations

from scp_service.destinations import CONNECTORS, connector
from settings import DicomDestination, Settings
from settings.destinations import KINDS


def test_every_kind_that_may_be_configured_can_be_reached() -> None:
    assert list(CONNECTORS) == list(KINDS.values())


def test_a_destination_says_whom_it_calls() -> None:
    pacs = DicomDestination(name="pacs", ae_title="PACS", host="10.0.0.1", port=104)
    assert connector(pacs, Settings()).where == "PACS at 10.0.0.1:104"
