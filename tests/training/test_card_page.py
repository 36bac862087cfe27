"""The model card as a page: its words and its plots, and nothing fetched from anywhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.training.evaluation.judged import films
from training.card_page import card_page
from training.evaluation.figures import Evaluation
from training.evaluation.out_of_fold import out_of_fold

CARD = """# tested 3

**For evaluation only, not for clinical use.** <script>alert(1)</script>

| figure | value |
|---|---|
| opacity_auc | 0.912 |
"""


class _Parser(HTMLParser):
    """Collects tags and their addresses; fails on elements closed in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.addresses += [
            values[name] or "" for name in ("src", "href", "xlink:href") if name in values
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "br", "img"):
            assert self.open.pop() == tag


def parse(page: str) -> _Parser:
    parser = _Parser()
    parser.feed(page)
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def told() -> Evaluation:
    return out_of_fold(films(45), draws=40)


def test_the_page_holds_card_and_plots_and_fetches_nothing(told: Evaluation) -> None:
    page = card_page("tested 3", CARD, told)
    found = parse(page)
    assert "<h1>tested 3</h1>" in page
    assert re.search(r"<td>opacity_auc</td>\s*<td>0\.912</td>", page)
    assert "script" not in found.seen  # HTML in the card is shown, not obeyed
    assert found.seen.count("svg") == 6
    assert all(address.startswith("#") for address in found.addresses)
    assert len(found.ids) == len(set(found.ids))  # plots do not share definitions
    assert {address[1:] for address in found.addresses} <= set(found.ids)
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"#(111111|222222|333333|444444)", page)


def test_the_same_evaluation_gives_the_same_page(told: Evaluation) -> None:
    assert card_page("a", CARD, told) == card_page("a", CARD, told)
