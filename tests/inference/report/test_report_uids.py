"""UIDs are names: the same thing has the same one, and nothing else has it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from inference.report import uids
from inference.report.uids import Namer, make_uid

NAMER = Namer("1.2.3", ("1.2.3.1", "1.2.3.2"), "1.2.9", None)


def every_uid(namer: Namer) -> list[str]:
    return [
        namer.series("sr"),
        namer.series("sc"),
        namer.instance("sr"),
        namer.instance("sc", "1.2.3.1"),
        namer.instance("sc", "1.2.3.2"),
    ]


def test_uids_are_valid_and_all_different() -> None:
    found = [*every_uid(NAMER), NAMER.tracking("1.2.3.1", 1), NAMER.tracking("1.2.3.1", 2)]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"2\.25\.[1-9]\d{0,38}", uid) for uid in found)


def test_the_order_of_the_sources_does_not_count() -> None:
    turned = replace(NAMER, sources=NAMER.sources[::-1])
    assert every_uid(turned) == every_uid(NAMER)


@pytest.mark.parametrize(
    "change",
    [
        {"study_instance_uid": "1.2.4"},
        {"sources": ("1.2.3.1",)},
        {"device_uid": "1.2.8"},
        {"predecessor": "1.2.3.7"},
    ],
)
def test_another_study_source_model_or_predecessor_makes_other_uids(
    change: dict[str, object],
) -> None:
    other = replace(NAMER, **change)  # type: ignore[arg-type]
    assert not set(every_uid(other)) & set(every_uid(NAMER))


def test_a_new_schema_makes_other_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    before = every_uid(NAMER)
    monkeypatch.setattr(uids, "SCHEMA_VERSION", uids.SCHEMA_VERSION + 1)
    assert not set(every_uid(NAMER)) & set(before)


def test_parts_do_not_run_into_each_other() -> None:
    assert make_uid("kind", "1.2", "3") != make_uid("kind", "1.2.3")
    assert make_uid("kind", "1", "2") != make_uid("kind1", "2")
