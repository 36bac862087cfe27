"""The worklist in a real browser: it keeps up by itself, and goes by the keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from console.context import Context
from db.states import UserRole
from tests.console.browser.chromium import log_in, opened
from tests.console.browsing import add_user
from tests.console.test_worklist_pages import HOSTILE, study
from tests.db.makers import Clock, film, receive, send_all


def test_new_rows_come_by_themselves_and_focus_stays_where_it_is(
    page: Page, context: Context, clock: Clock
) -> None:
    first = study(context.database, clock, report={"probability": 0.5})
    second = study(context.database, clock, report={"probability": 0.4})
    page.goto("/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(f'tr[data-id="{second}"] .open')).to_be_focused()
    likelier = study(context.database, clock, report={"probability": 0.9}, patient_name=HOSTILE)
    send_all(context.database)
    rows = page.locator("#studies tbody tr")
    expect(rows).to_have_count(3, timeout=15_000)
    order = [row.get_attribute("data-id") for row in rows.all()]
    assert order == [str(likelier), str(first), str(second)]
    expect(page.locator(f'tr[data-id="{second}"] .open')).to_be_focused()
    expect(page.locator(f'tr[data-id="{second}"] .sent')).to_contain_text("delivered")
    expect(page.locator(f'tr[data-id="{likelier}"] .name')).to_contain_text("<script>")
    page.keyboard.press("k")
    expect(page.locator(f'tr[data-id="{first}"] .open')).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studies/{first}")


def test_what_is_marked_is_not_taken_away(page: Page, context: Context, clock: Clock) -> None:
    study(context.database, clock)
    page.goto("/")
    page.locator("#studies .name").dblclick(position={"x": 6, "y": 6})
    marked = page.evaluate("getSelection().toString()")
    assert marked == "Test"
    receive(context.database, film())
    with page.expect_response(lambda answer: "/worklist/rows" in answer.url, timeout=15_000):
        pass
    assert page.evaluate("getSelection().toString()") == marked
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator("#studies tbody tr")).to_have_count(2, timeout=15_000)


def test_a_tab_that_nobody_sees_does_not_ask(page: Page, context: Context) -> None:
    page.clock.install()
    page.goto("/")
    expect(page.locator("#live")).to_contain_text("looked at")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(page.locator("#live")).to_have_text("paused")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    receive(context.database, film())
    page.clock.fast_forward(60_000)
    assert asked == []
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(page.locator("#studies tbody tr")).to_have_count(1)


def test_who_was_logged_out_is_told_so(page: Page, context: Context) -> None:
    page.goto("/")
    expect(page.locator("#live")).to_contain_text("looked at")
    page.context.clear_cookies()
    expect(page.locator("#live")).to_contain_text("logged out", timeout=15_000)


def test_search_by_the_keyboard_leaves_an_address_that_says_no_more_than_that(
    page: Page, context: Context
) -> None:
    receive(context.database, film(patient_name="Curie^Marie"), film(patient_name="Noether^Emmy"))
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("noeth")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/\?q=noeth$"))
    expect(page.locator("#studies tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Take back Search: noeth").click()
    expect(page.locator("#studies tbody tr")).to_have_count(2)


def test_days_are_those_of_the_browser(
    browser: Browser, base: str, context: Context, clock: Clock
) -> None:
    """The test's clock stands at noon UTC, when it is the next day already on Kiritimati."""
    receive(context.database, film())
    add_user(context, "tom", UserRole.READER)
    clock.move(minutes=-1)
    with opened(browser, base, timezone_id="Pacific/Kiritimati") as page:
        log_in(page, "tom")
        page.goto("/?period=today")
        expect(page.locator("#zone")).to_have_text("Pacific/Kiritimati")
        expect(page.locator("#studies tbody tr")).to_have_count(1)
        page.goto("/?from=2024-03-02&to=2024-03-02")
        expect(page.locator("#studies tbody tr")).to_have_count(1)
        page.goto("/?from=2024-03-01&to=2024-03-01")
        expect(page.locator("#studies tbody tr")).to_have_count(0)


def test_light_and_dark_are_switched_and_kept(page: Page) -> None:
    page.goto("/")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch between light and dark").click()
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == after
