"""The slider of another threshold, in a real browser: it says what the server says."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from console.context import Context
from db.states import TaskKind
from tests.db.makers import (
    Clock,
    claim_one,
    close_quiet,
    film,
    new_report,
    new_result,
    read,
    receive,
    report,
)


def test_the_slider_tells_what_would_flip_as_the_server_does(
    page: Page, base: str, context: Context, clock: Clock
) -> None:
    for source, probability in (("ER", 0.2), ("ER", 0.57), ("WARDS", 0.4), ("WARDS", 0.9)):
        receive(context.database, film(source_ae=source))
        finding = "opacity" if probability >= 0.5 else "normal"
        said = {"finding": finding, "pneumonia": probability}
        read(context.database, claim_one(context.database, TaskKind.READ), **said)
        clock.move(seconds=10)
        close_quiet(context.database)
        made = new_report(new_result("sr"), finding=finding, probability=probability)
        report(context.database, {}, made)
    page.goto(f"{base}/monitoring/threshold?period=24h&at=0.5")
    table, sentence = page.locator("#flips"), page.locator("#sentence")
    first = table.inner_text()
    for at in ("0.570", "0.571", "0.300", "1.000", "0.000"):
        page.locator("#slide").fill(at)
        expect(page.locator("#at")).to_have_value(at)
        moved = table.inner_text(), " ".join(sentence.inner_text().split())
        assert re.search(rf"at={at}", page.url)
        page.reload()  # the address holds the threshold: now the server says it
        assert (table.inner_text(), " ".join(sentence.inner_text().split())) == moved
    assert table.inner_text() != first
