"""The whole way, with real processes: a film sent by DICOM, its page, a verdict, the export."""

from __future__ import annotations

import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from db.models import Delivery, Verdict
from tests.console.browser.chromium import log_in, opened
from tests.console.browsing import PASSWORD
from tests.peers import StoreSCP, free_port, run_hilum, storescu, wait_until
from tests.system.whole import destination, whole
from training.phantoms import phantom, write_phantom_dicom

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_from_a_film_sent_by_dicom_to_the_verdict_on_its_page(
    browser: Browser, storescp: StoreSCP, tmp_path: Path
) -> None:
    port = free_port()
    film = tmp_path / "film.dcm"
    made = phantom(np.random.default_rng(1), kind="opacity", size=1024)
    write_phantom_dicom(made, film, number=1)
    (tmp_path / "password").write_text(PASSWORD)
    console = {"HILUM_CONSOLE__ENABLED": "true", "HILUM_CONSOLE__PORT": str(port)}
    to = [destination(storescp.port, storescp.ae_title, objects=["sr", "sc"])]
    with whole(tmp_path, destinations=to, env=console) as service:
        for name, role in (("ann", "reader"), ("root", "admin")):
            how = ["--role", role, "--password-file", tmp_path / "password"]
            done = run_hilum(["user", "add", name, *how], service.env, folder=tmp_path)
            assert done.returncode == 0, done.stderr
        with service.serving():
            storescu([film], service.port)
            base = f"http://127.0.0.1:{port}"
            wait_until(lambda: answers(base), "the console answers", seconds=60)
            service.wait_until_idle(1)
            with opened(browser, base) as page:
                log_in(page, "ann")
                page.goto("/studies/1")
                expect(page.locator("[data-readout]").first).to_contain_text("%", timeout=60_000)
                expect(page.get_by_text("No physician has verified this.")).to_be_visible()
                expect(page.locator("#deliveries")).to_contain_text("status 0x0000")
                page.get_by_label("I disagree").first.check()
                page.get_by_label("Comment").fill("seen by ann")
                page.get_by_role("button", name="Keep verdict").click()
                expect(page.get_by_role("status").first).to_contain_text("Your verdict is kept")
            with opened(browser, base) as page:
                log_in(page, "root")
                page.goto("/verdicts")
                with page.expect_download() as download:
                    page.get_by_role("button", name="Download as ZIP").click()
                names = zipfile.ZipFile(download.value.path()).namelist()
        with service.database.read() as session:
            (verdict,) = session.query(Verdict)
            sent = [each.sent_at for each in session.query(Delivery)]
    assert (verdict.by, verdict.comment) == ("ann", "seen by ann")
    assert all(at is not None and at < verdict.at for at in sent)
    assert "stage_2_train_labels.csv" in names


def answers(base: str) -> bool:
    """Say whether the console answers."""
    try:
        return httpx.get(f"{base}/login").status_code == 200
    except httpx.HTTPError:
        return False
