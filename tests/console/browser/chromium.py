"""The console on a port, and Debian's Chromium before it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from console.app import make_app
from console.context import Context
from scp_service.http_server import serving_http
from tests.console.browsing import PASSWORD
from tests.peers import free_port


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser; the test is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium is installed")
    with sync_playwright() as playwright:
        # As root, as in a container, Chromium starts without its sandbox alone.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(context: Context) -> Iterator[str]:
    """Serve a console as `hilum console` does; yields its address."""
    port = free_port()
    web = serving_http(
        make_app(context),
        "127.0.0.1",
        port,
        context.settings.console.tls,
        name="console",
        who="a browser",
        trail=context.trail,
    )
    with web:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def opened(browser: Browser, base: str, **options: Any) -> Iterator[Page]:
    """Open a page; what goes wrong in its scripts, or asks something, fails the test."""
    how: Mapping[str, Any] = {"viewport": {"width": 1440, "height": 900}, **options}
    with browser.new_context(base_url=base, **how) as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on(
            "console",
            lambda said: wrong.append(said.text) if "Content Security" in said.text else None,
        )
        yield page
        assert wrong == []


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Log in by the form."""
    page.goto("/login")
    page.fill('[name="name"]', name)
    page.fill('[name="password"]', password)
    page.click('button[type="submit"]:has-text("Log in")')
    page.wait_for_url("/")
