"""A browser for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from console.context import Context
from db.states import UserRole
from tests.console.browser.chromium import chromium, log_in, opened, served
from tests.console.browsing import add_user


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser. As long as it is open its event loop runs, and tests elsewhere need their own."""
    with chromium() as started:
        yield started


@pytest.fixture
def base(context: Context) -> Iterator[str]:
    """The address of a console."""
    with served(context) as address:
        yield address


@pytest.fixture
def page(browser: Browser, base: str, context: Context) -> Iterator[Page]:
    """A page of somebody who is logged in there, an operator called ann."""
    add_user(context, "ann", UserRole.OPERATOR)
    with opened(browser, base) as shown:
        log_in(shown, "ann")
        yield shown
