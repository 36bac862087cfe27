"""The table of transfer syntaxes in docs/decoding.md is the code's."""

from __future__ import annotations

import re

from inference.decode import PLUGINS
from settings import TRANSFER_SYNTAXES
from tests.peers import ROOT

_ROW = re.compile(r"^\| [^|]+ \| (1\.2\.840\.10008\.1\.2[\d.]*) \|", re.MULTILINE)


def test_every_accepted_transfer_syntax_stands_in_the_table() -> None:
    rows = _ROW.findall((ROOT / "docs" / "decoding.md").read_text(encoding="utf-8"))
    assert sorted(rows) == sorted(TRANSFER_SYNTAXES)


def test_every_compressed_transfer_syntax_has_its_library() -> None:
    assert set(PLUGINS) <= set(TRANSFER_SYNTAXES)
    assert {uid for uid in TRANSFER_SYNTAXES if ".1.2.4." in uid or uid.endswith(".1.2.5")} == set(
        PLUGINS
    )
