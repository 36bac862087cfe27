"""Pictures of the console's pages, in light and dark: `make screenshots`.

Lists and figures are of a history that `bench.history` makes up; the study is of a phantom film
that the whole service has read. No patient is shown anywhere.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
from playwright.sync_api import Browser, Page, expect

from bench.history.load import load
from bench.history.made import studies
from db import migrations
from db.session import Database
from db.states import UserRole
from db.sums import keep as sums
from tests.console.browser.chromium import chromium, log_in, opened, served
from tests.console.browsing import PASSWORD, add_user, running_console
from tests.peers import free_port, run_hilum, storescp, storescu, wait_until
from tests.system.whole import destination, whole
from training.phantoms import phantom, write_phantom_dicom

STUDIES = 20_000
NAME = "ann"
PAGES = {
    "worklist": "/",
    "not-delivered": "/?period=30d&delivered=not",
    "verdicts": "/verdicts",
    "monitoring": "/monitoring",
    "monitoring-model": "/monitoring/model",
    "monitoring-threshold": "/monitoring/threshold",
    "destinations": "/administration/destinations",
    "peers": "/administration/peers",
    "bundles": "/administration/bundles",
    "users": "/administration/users",
    "tokens": "/administration/tokens",
    "audit": "/administration/audit",
    "retention": "/administration/retention",
    "settings": "/administration/settings",
}
THEMES = ("light", "dark")
DESTINATIONS = [
    {"name": name, "ae_title": name.upper(), "host": f"{name}.example.org", "port": 104}
    for name in ("pacs", "ris")
]


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/screenshots"), help="their folder")
    to: Path = parser.parse_args().out
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hilum-screenshots-") as folder, chromium() as browser:
        with _history(Path(folder) / "history") as base:
            _pictures(browser, base, PAGES, to)
        with _study(Path(folder) / "study") as base:
            _pictures(browser, base, {"study": "/studies/1"}, to)
    print(f"{2 * (len(PAGES) + 2)} pictures are in {to}")


def _pictures(browser: Browser, base: str, pages: dict[str, str], to: Path) -> None:
    for theme in THEMES:
        with opened(browser, base, color_scheme=theme) as page:
            page.goto("/login")
            page.screenshot(path=to / f"login-{theme}.png")
            log_in(page, NAME)
            for name, path in pages.items():
                answer = page.goto(path)
                if answer is None or answer.status != 200:
                    raise SystemExit(f"{path} cannot be shown")
                _settle(page)
                page.screenshot(path=to / f"{name}-{theme}.png")


def _settle(page: Page) -> None:
    """Wait until the films of a page are drawn."""
    if page.locator("[data-readout]").count():
        expect(page.locator("[data-readout]").first).to_contain_text("%", timeout=60_000)
    page.wait_for_load_state("networkidle")


@contextmanager
def _history(folder: Path) -> Iterator[str]:
    """Serve a console on a made-up history; yields its address."""
    folder.mkdir()
    with closing(Database(f"sqlite:///{folder / 'hilum.sqlite'}")) as database:
        migrations.upgrade(database, folder)
        load(database, studies(STUDIES, end=datetime.now(UTC)))
        while sums.advance(database):
            pass
        with running_console(database, folder, destinations=DESTINATIONS) as context:
            add_user(context, NAME, UserRole.ADMIN)
            with served(context) as base:
                yield base


@contextmanager
def _study(folder: Path) -> Iterator[str]:
    """Run the whole service until it has read and sent a phantom; yields its console's address."""
    folder.mkdir()
    film, password, port = folder / "film.dcm", folder / "password", free_port()
    write_phantom_dicom(
        phantom(np.random.default_rng(1), kind="opacity", size=1024), film, number=1
    )
    password.write_text(PASSWORD)
    console = {"HILUM_CONSOLE__ENABLED": "true", "HILUM_CONSOLE__PORT": str(port)}
    base = f"http://127.0.0.1:{port}"
    with storescp(folder / "pacs", options=("+xa",)) as pacs:
        to = [destination(pacs.port, pacs.ae_title)]
        with whole(folder, destinations=to, env=console) as service:
            who = ["user", "add", NAME, "--role", "admin", "--password-file", password]
            done = run_hilum(who, service.env, folder=folder)
            if done.returncode:
                raise SystemExit(done.stderr)
            with service.serving():
                storescu([film], service.port)
                service.wait_until_idle(1)
                wait_until(lambda: _answers(base), "the console answers", seconds=60)
                yield base


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/login").status_code == 200
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
