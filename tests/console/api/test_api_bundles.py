"""Bundles by the API: registered from a ZIP, chosen against what others choose, and their cards."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.bundles import choices
from console.context import Context
from db import bundles
from db.models import BundleChoice
from inference.bundle import load_bundle
from inference.bundle_zip import export_zip
from inference.worker.registry import Registry, key_of
from tests.console.api.calling import Program, refused
from tests.console.browsing import audit_records
from tests.db.makers import rows
from tests.inference.bundles import packaged_as

PACKAGED = load_bundle().label.replace(" ", "/")


@pytest.fixture(scope="module")
def third(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The ZIP of a bundle that can run."""
    folder = tmp_path_factory.mktemp("third")
    export_zip(packaged_as(folder / "third", "third", "3"), folder / "third.zip")
    return (folder / "third.zip").read_bytes()


def send(caller: Program, body: bytes, kind: str = "application/zip"):  # type: ignore[no-untyped-def]
    return caller.call("POST", "/bundles", content=body, headers={"Content-Type": kind})


def test_a_bundle_is_registered_from_its_zip_once(
    everything: Program, context: Context, third: bytes
) -> None:
    assert len(third) > 262_144
    made = send(everything, third)
    assert (made.status_code, made.json()) == (201, {"name": "third/3", "new": True})
    again = send(everything, third)
    assert (again.status_code, again.json()) == (200, {"name": "third/3", "new": False})
    assert "third/3" in [each["name"] for each in everything.get("/bundles").json()["items"]]
    assert audit_records(context).count('originalText="Software Configuration"') == 1
    assert [each.name for each in (context.files.root / "bundles").glob(".sent-*")] == []


def test_what_is_no_bundle_is_refused(
    everything: Program, reading: Program, context: Context
) -> None:
    assert "no ZIP" in refused(send(everything, b"no zip"), 409)["detail"]
    refused(send(everything, b"{}", "application/json"), 415)
    refused(send(everything, b"x" * 300_000, "application/json"), 413)
    refused(send(reading, b"x" * 300_000), 403)
    assert list((context.files.root / "bundles").glob("*/*")) == []


def test_a_card_is_given_as_it_was_written_and_the_page_may_do_nothing(
    everything: Program,
) -> None:
    card = everything.get(f"/bundles/{PACKAGED}/card")
    assert card.headers["Content-Type"].startswith("text/markdown")
    assert card.text == (load_bundle().path / "model_card.md").read_text(encoding="utf-8")
    page = everything.get(f"/bundles/{PACKAGED}/card/page")
    assert page.headers["Content-Security-Policy"].startswith("sandbox;")
    for path in ("card", "card/page"):
        refused(everything.get(f"/bundles/none/1/{path}"), 404)


def test_who_chooses_is_told_that_another_has_chosen_while_the_bundle_was_checked(
    everything: Program, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Registry(context.files.root).register(packaged_as(tmp_path / "a", "a", "1").path)
    key = key_of(Registry(context.files.root).find("a/1"))
    tag = everything.get("/bundles").headers["ETag"]

    def checked(path: Path, worker: object) -> str:
        with context.database.write() as session:
            bundles.shadow(session, key, by="ada", reason=None, now=context.database.now(session))
        return "openvino"

    monkeypatch.setattr(choices, "runtime_of", checked)
    known = {"If-Match": tag}
    late = everything.call("PUT", "/bundles/active", json={"name": "a/1"}, headers=known)
    assert "meanwhile" in refused(late, 412)["detail"]
    assert [each.role.value for each in rows(context.database, BundleChoice)] == ["shadow"]
    new = {"If-Match": everything.get("/bundles").headers["ETag"]}
    done = everything.call("PUT", "/bundles/active", json={"name": None}, headers=new)
    assert done.json()["changed"] is False
