"""axe-core finds no serious fault on any page, in light and dark (WCAG 2.2 AA)."""

from __future__ import annotations

import importlib.resources
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from console.context import Context
from db.session import Database
from db.states import UserRole
from tests.console.browser.chromium import log_in, opened
from tests.console.browsing import add_user
from tests.console.test_access import every_route
from tests.db.makers import Clock, film, reported_study
from tests.inference.films import make_film, make_picture

AXE = importlib.resources.files("axe_playwright_python") / "axe.min.js"
FAULTS = """() => axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}).then(
  (found) => found.violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html.slice(0, 160)}`)))"""


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_fault(
    browser: Browser,
    base: str,
    context: Context,
    database: Database,
    clock: Clock,
    theme: Literal["light", "dark"],
) -> None:
    add_user(context, "root", UserRole.ADMIN)
    make_film(context.files.root / "films" / "film.dcm", make_picture(bits=12), BitsStored=12)
    reported_study(database, clock, film(path="films/film.dcm"))
    found: dict[str, list[str]] = {}
    with opened(browser, base, color_scheme=theme) as page:
        found["/login"] = faults(page, "/login") or []
        log_in(page, "root")
        for method, path, needed in every_route(context):
            if method == "GET" and needed is not None:
                seen = faults(page, path)
                if seen is not None:
                    found[path] = seen
    assert {"/login", "/", "/studies/1", "/verdicts", "/films/1/tags"} <= found.keys()
    assert {path: seen for path, seen in found.items() if seen} == {}


def faults(page: Page, path: str) -> list[str] | None:
    """Open a page and have axe look at it; None for what is no page."""
    answer = page.context.request.get(path, max_redirects=0)
    if answer.status != 200 or "text/html" not in answer.headers.get("content-type", ""):
        return None
    if "<html" not in answer.text():
        return None  # a part of a page
    page.goto(path)
    if page.locator("[data-readout]").count():
        expect(page.locator("[data-readout]").first).to_contain_text("%", timeout=20_000)
    page.evaluate("document.querySelectorAll('main details').forEach((each) => (each.open = true))")
    page.wait_for_load_state("networkidle")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(FAULTS)
    assert isinstance(found, list)
    return found
