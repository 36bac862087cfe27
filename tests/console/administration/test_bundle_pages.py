"""Bundles in the console: chosen by the rules of the terminal, and cards that can do nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx2 import Response

from console.bundles.card import card_text
from console.bundles.register import register
from console.context import Context
from console.security.who import Who
from console.services.errors import RefusedError
from db import bundles
from db.models import BundleChoice
from db.states import BundleRole, UserRole
from inference.bundle import load_bundle
from inference.bundle_zip import export_zip
from inference.worker.registry import Registry, key_of
from tests.console.browsing import Person, audit_records
from tests.db.makers import rows
from tests.inference.bundles import packaged_as, small_bundle

BUNDLES = "/administration/bundles"
PACKAGED = load_bundle().label.replace(" ", "/")


@pytest.fixture
def second(context: Context, tmp_path: Path) -> str:
    """A registered bundle that can run."""
    made = packaged_as(tmp_path / "second", "second", "2", temperature=3.0)
    Registry(context.files.root).register(made.path)
    return "second/2"


def chosen(context: Context) -> list[tuple[str, str | None, str, str | None]]:
    return [
        (each.role.value, each.bundle, each.by, each.reason)
        for each in rows(context.database, BundleChoice)
    ]


def test_a_bundle_is_put_in_shadow_activated_and_taken_back(
    admin: Person, context: Context, second: str
) -> None:
    reason = {"reason": "on trial"}
    assert admin.post(f"{BUNDLES}/shadow", {"name": second, **reason}).status_code == 303
    assert "in shadow" in admin.get(BUNDLES).text
    assert admin.post(f"{BUNDLES}/activate", {"name": second}).status_code == 303
    assert admin.post(f"{BUNDLES}/shadow", {"name": second}).status_code == 409
    assert "The configured bundle is active again" in admin.get(BUNDLES).text
    assert admin.post(f"{BUNDLES}/rollback", {"reason": "worse"}).status_code == 303
    assert chosen(context) == [
        ("shadow", "second", "admin", "on trial"),
        ("active", "second", "admin", None),
        ("shadow", None, "admin", "it is the active bundle now"),
        ("active", None, "admin", "worse"),
    ]
    again = admin.post(f"{BUNDLES}/rollback")
    assert again.status_code == 409
    assert "no way back" in again.text
    assert audit_records(context).count('originalText="Software Configuration"') == 3


def test_what_cannot_run_is_not_chosen_and_the_console_goes_on(
    admin: Person, context: Context, tmp_path: Path
) -> None:
    broken = small_bundle(tmp_path / "broken", id="broken")
    Registry(context.files.root).register(broken.path)
    for path in ("verify", "activate", "shadow"):
        answer = admin.post(f"{BUNDLES}/{path}", {"name": "broken/1"})
        assert answer.status_code == 409, path
        assert "cannot load this network" in answer.text
    assert chosen(context) == []
    assert admin.post(f"{BUNDLES}/activate", {"name": "none/1"}).status_code == 404


def test_a_bundle_is_verified_with_its_network(admin: Person) -> None:
    said = admin.post(f"{BUNDLES}/verify", {"name": PACKAGED}).text
    assert "gives the golden output on" in said


def test_what_a_worker_cannot_use_is_told(admin: Person, context: Context, second: str) -> None:
    with context.database.write() as session:
        now = context.database.now(session)
        key = key_of(Registry(context.files.root).find(second))
        choice = bundles.activate(session, key, by="ada", reason=None, now=now)
        bundles.record_problem(session, choice.id, worker="box", sentence="no <room>", now=now)
        assert bundles.current(session, BundleRole.ACTIVE) is choice
    assert "no &lt;room&gt;" in admin.get(BUNDLES).text


def test_a_card_shows_what_its_maker_wrote_as_text_alone(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "odd", id="odd")
    (bundle.path / "model_card.md").write_text(
        "# Odd\n<script>alert(1)</script>\n\n[a](javascript:alert(1)) ![b](https://spy/x.png)"
        ' [c](https://example.org/?q="<x>")\n\n| a | b |\n|---|---|\n| 1 | <b>2</b> |\n',
        encoding="utf-8",
    )
    text = card_text(bundle)
    assert "<h1>Odd</h1>" in text
    assert "<td>1</td>" in text
    for evil in ("<script", "<img", 'href="javascript', "<b>", "<x>"):
        assert evil not in text, evil
    assert 'href="https://example.org/' in text


def test_cards_are_shown_and_the_one_with_plots_may_do_nothing(admin: Person) -> None:
    card = admin.get(f"{BUNDLES}/card?name={PACKAGED}")
    assert "<h1>hilum-default" in card.text
    assert "script-src 'self'" in card.headers["Content-Security-Policy"]
    plots = admin.get(f"{BUNDLES}/card/page?name={PACKAGED}")
    policy = plots.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox;")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "allow-" not in policy
    for path in ("card", "card/page"):
        assert admin.get(f"{BUNDLES}/{path}?name=none/1").status_code == 404


def put(admin: Person, body: bytes, **headers: str) -> Response:
    given = {"Content-Type": "application/zip", "X-CSRF-Token": admin.csrf, **headers}
    return admin.client.put(BUNDLES, content=body, headers=given)


def test_a_bundle_is_registered_from_its_zip(
    admin: Person, context: Context, tmp_path: Path
) -> None:
    made = packaged_as(tmp_path / "third", "third", "3")
    export_zip(made, tmp_path / "third.zip")
    body = (tmp_path / "third.zip").read_bytes()
    assert put(admin, body).json() == {"sentence": "third/3 is registered."}
    assert put(admin, body).json() == {"sentence": "third/3 was registered already."}
    assert "third/3" in admin.get(BUNDLES).text
    assert base64.b64encode(b"Bundle registered: third/3.").decode() in audit_records(context)
    assert [each.name for each in (context.files.root / "bundles").glob(".sent-*")] == []


def test_what_is_no_bundle_too_large_or_forged_is_refused(admin: Person, context: Context) -> None:
    refused = put(admin, b"no zip")
    assert refused.status_code == 409
    assert "it is no ZIP" in refused.json()["sentence"]
    assert str(context.files.root) not in refused.text
    assert put(admin, b"no zip", **{"X-CSRF-Token": "0" * 64}).status_code == 403
    assert list((context.files.root / "bundles").glob("*/*")) == []


async def _parts(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 10


def test_a_bundle_that_is_too_large_leaves_nothing(context: Context) -> None:
    who = Who(1, "ada", UserRole.ADMIN, "127.0.0.1", session_id=1)
    with pytest.raises(RefusedError, match="at most"):
        asyncio.run(register(context, who, _parts(3), most=25))
    assert list((context.files.root / "bundles").iterdir()) == []


def test_only_a_bundle_may_be_long_and_only_of_an_administrator(
    admin: Person, operator: Person
) -> None:
    long = b"x" * 1_000_000
    assert put(admin, long).status_code == 409
    assert put(operator, long).status_code == 403
    forms = {"Content-Type": "application/x-www-form-urlencoded"}
    assert put(admin, long, **forms).status_code == 413
    assert admin.client.put("/administration/users", content=long).status_code == 413
