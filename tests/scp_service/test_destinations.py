"""The registry of kinds: what may be configured can be reached."""

from __future__ import annotations

import re
import tomllib

import pytest

from scp_service.destinations.registry import CONNECTORS, connector
from settings import DicomDestination, Settings, load
from settings.destinations import KINDS
from settings.destinations.sink import SinkDestination
from tests import peers


def test_every_kind_that_may_be_configured_can_be_reached_and_the_self_tests_sink() -> None:
    assert list(CONNECTORS) == [*KINDS.values(), SinkDestination]


def test_a_destination_says_whom_it_calls() -> None:
    pacs = DicomDestination(name="pacs", ae_title="PACS", host="10.0.0.1", port=104)
    assert connector(pacs, Settings()).where == "PACS at 10.0.0.1:104"


BLOCKS = re.findall(r"```toml\n(.*?)```", (peers.ROOT / "docs/destinations.md").read_text(), re.S)


def test_every_kind_has_an_example_in_its_documentation() -> None:
    kinds = [tomllib.loads(each)["destinations"][0].get("kind", "dicom") for each in BLOCKS]
    assert set(kinds) == set(KINDS)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_can_be_used_as_it_stands(block: str) -> None:
    loaded = load(tomllib.loads(block), environ={})
    assert len(loaded.settings.destinations) == 1
