"""Administration by the API: the same rules as on the pages, and who may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.context import Context
from console.security.scopes import Scope
from console.services import destinations
from console.services.destinations import Probe
from db.models import AnsweredRequest, BundleChoice
from db.session import Database
from db.states import UserRole
from tests.console.api.calling import Program, program, refused
from tests.console.browsing import add_user, audit_records, browser, log_in, running_console
from tests.db.makers import Clock, film, reported_study, rows


def test_a_user_is_made_changed_and_removed(everything: Program, context: Context) -> None:
    made = everything.post("/users", {"name": "Ada", "role": "reader"})
    assert made.status_code == 201, made.text
    user = made.json()["user"]
    where = f"/users/{user['id']}"
    assert made.headers["Location"] == f"/api/v1{where}"
    assert (user["name"], user["role"], user["program"]) == ("ada", "reader", False)
    with browser(context) as client:
        assert log_in(client, "ada", made.json()["first_password"]).status_code == 303
    refused(everything.post("/users", {"name": "ada", "role": "admin"}), 409)

    tag = everything.get(where).headers["ETag"]
    changed = everything.call("PATCH", where, json={"role": "operator"}, headers={"If-Match": tag})
    assert changed.json()["role"] == "operator"
    late = everything.call("PATCH", where, json={"role": "admin"}, headers={"If-Match": tag})
    refused(late, 412)
    assert everything.call("PATCH", where, json={"disabled": True}).json()["disabled_at"]
    assert everything.call("PATCH", where, json={"disabled": False}).json()["disabled_at"] is None

    first = everything.post(f"{where}/password").json()["first_password"]
    with browser(context) as client:
        assert log_in(client, "ada", first).status_code == 303
    refused(everything.call("DELETE", where, headers={"If-Match": '"x"'}), 412)
    assert everything.call("DELETE", where).status_code == 204
    refused(everything.get(where), 404)
    refused(everything.call("DELETE", where), 404)
    assert "The user was removed." in readable(context)


def readable(context: Context) -> str:
    """Return what the trail's alerts say."""
    from audit import reading
    from audit.trail import folder_of

    found = reading.page(folder_of(context.settings), reading.Wanted(), limit=500)
    return " ".join(
        text for record in found.records for each in record.about for text in each.details.values()
    )


def test_nobody_takes_away_the_last_administrator(everything: Program) -> None:
    told = refused(everything.call("DELETE", f"/users/{everything.user_id}"), 409)
    assert "cannot remove yourself" in told["detail"]
    change = {"role": "reader"}
    answer = everything.call("PATCH", f"/users/{everything.user_id}", json=change)
    assert "only administrator" in refused(answer, 409)["detail"]


def test_a_token_is_made_used_and_revoked(everything: Program, context: Context) -> None:
    made = everything.post("/tokens", {"name": "a script", "scopes": ["read"], "days": 1})
    assert made.status_code == 201, made.text
    token, secret = made.json()["token"], made.json()["secret"]
    assert token["scopes"] == ["read"]
    assert token["expires_at"] == "2024-03-02T12:00:00Z"
    assert secret not in audit_records(context)
    headers = {"Authorization": f"Bearer {secret}"}
    me = everything.get("/me", headers=headers).json()
    assert (me["name"], me["role"], me["token_id"]) == (everything.name, "reader", token["id"])
    assert me["token_expires_at"] == token["expires_at"]
    listed = everything.get("/tokens").json()["items"]
    assert secret not in str(listed)
    assert listed[0]["last_used_at"] == "2024-03-01T12:00:00Z"
    assert everything.call("DELETE", f"/tokens/{token['id']}").status_code == 204
    refused(everything.get("/me", headers=headers), 401)
    refused(everything.call("DELETE", "/tokens/99"), 404)


def test_nobody_makes_tokens_of_another_person(everything: Program, context: Context) -> None:
    other = add_user(context, "ada")
    body = {"name": "x", "scopes": ["read"], "user_id": other}
    assert "in that person's name" in refused(everything.post("/tokens", body), 409)["detail"]
    made = everything.post("/users", {"name": "ris", "role": "reader", "program": True}).json()
    assert made["first_password"] is None
    body["user_id"] = made["user"]["id"]
    assert everything.post("/tokens", body).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["all"]},
        {"name": "", "scopes": ["read"]},
        {"name": "a\u0000", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "days": 0},
        {"name": "x", "scopes": ["read"], "days": "1"},
        {"name": "x", "scopes": ["read"], "user_id": 2**63},
    ],
)
def test_a_token_that_makes_no_sense_is_refused(everything: Program, body: dict) -> None:
    refused(everything.post("/tokens", body), 422)


@pytest.fixture
def with_pacs(database: Database, fast_folder: Path) -> Iterator[Program]:
    """A program of a console that knows a destination and a peer."""
    pacs = {"kind": "dicom", "name": "pacs", "host": "127.0.0.1", "port": 104, "ae_title": "PACS"}
    peer = {"ae_title": "CR1", "address": "10.0.0.0/24"}
    with (
        running_console(database, fast_folder, destinations=[pacs], peers=[peer]) as context,
        program(context) as made,
    ):
        yield made


def test_a_destination_is_paused_and_resumed(
    with_pacs: Program, database: Database, clock: Clock
) -> None:
    reported_study(database, clock, film())
    (found,) = with_pacs.get("/destinations").json()["items"]
    assert (found["name"], found["kind"], found["waiting"]) == ("pacs", "dicom", 2)
    assert found["pause"] is None
    tag = with_pacs.get("/destinations/pacs").headers["ETag"]
    why = {"reason": "moving house"}
    path = "/destinations/pacs/pause"
    paused = with_pacs.call("PUT", path, json=why, headers={"If-Match": tag})
    assert paused.json()["pause"]["reason"] == "moving house"
    assert paused.json()["pause"]["by"] == with_pacs.name
    refused(with_pacs.call("PUT", path, json=why, headers={"If-Match": tag}), 412)
    assert with_pacs.call("PUT", path, json={}).json()["pause"]["reason"] == "moving house"
    assert with_pacs.call("DELETE", path).json()["pause"] is None
    assert with_pacs.get("/destinations/pacs").json()["pause"] is None
    refused(with_pacs.get("/destinations/none"), 404)
    refused(with_pacs.call("PUT", "/destinations/none/pause", json={}), 404)


def test_an_operator_pauses_and_resumes_and_changes_nothing_else(
    with_pacs: Program, database: Database, fast_folder: Path
) -> None:
    pacs = {"kind": "dicom", "name": "pacs", "host": "127.0.0.1", "port": 104, "ae_title": "PACS"}
    with (
        running_console(database, fast_folder, destinations=[pacs]) as context,
        program(context, UserRole.OPERATOR) as operator,
        program(context, UserRole.ADMIN, Scope.READ) as reading,
    ):
        assert operator.get("/destinations").json()["items"][0]["name"] == "pacs"
        paused = operator.call("PUT", "/destinations/pacs/pause", json={"reason": "x"})
        assert paused.json()["pause"]["by"] == operator.name
        assert operator.call("DELETE", "/destinations/pacs/pause").json()["pause"] is None
        refused(operator.post("/destinations/pacs/echo"), 403)
        refused(operator.get("/configuration/destinations"), 403)
        refused(reading.call("PUT", "/destinations/pacs/pause", json={}), 403)


def test_a_user_is_changed_in_all_or_nothing(everything: Program) -> None:
    made = everything.post("/users", {"name": "ada", "role": "reader"}).json()["user"]
    where = f"/users/{made['id']}"
    both = everything.call("PATCH", where, json={"role": "operator", "disabled": True}).json()
    assert (both["role"], both["disabled_at"] is None) == ("operator", False)
    everything.post("/users", {"name": "other", "role": "admin"})
    mine = f"/users/{everything.user_id}"
    change = {"role": "reader", "disabled": True}
    assert "yourself" in refused(everything.call("PATCH", mine, json=change), 409)["detail"]
    assert everything.get(mine).json()["role"] == "admin"
    refused(everything.post(f"{where}/password", headers={"If-Match": '"x"'}), 412)


def test_a_destination_is_asked_whether_it_is_there(
    with_pacs: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def probe(called: object, settings: object) -> Probe:
        asked.append(called)
        return Probe("PACS at 127.0.0.1:104", 0.5, "nobody is there")

    monkeypatch.setattr(destinations, "probe", probe)
    told = with_pacs.post("/destinations/pacs/echo").json()
    assert told["problem"] == "nobody is there"
    assert len(asked) == 1


def test_a_peer_that_is_a_whole_network_cannot_be_called(with_pacs: Program) -> None:
    (peer,) = with_pacs.get("/peers").json()["items"]
    assert (peer["name"], peer["may_be_called"]) == ("CR1@10.0.0.0/24", False)
    refused(with_pacs.post("/peers/echo", {"name": peer["name"]}), 409)
    refused(with_pacs.post("/peers/echo", {"name": "none@1.2.3.4"}), 404)


def test_bundles_are_listed_and_a_rollback_is_done_once(
    everything: Program, database: Database
) -> None:
    found = everything.get("/bundles")
    assert [each["role"] for each in found.json()["items"]] == ["active"]
    refused(everything.call("PUT", "/bundles/active", json={"name": "none/1"}), 404)
    told = refused(everything.post("/bundles/rollback", {}, key="k1"), 409)
    assert "no way back" in told["detail"]
    assert rows(database, AnsweredRequest) == []
    late = {"If-Match": '"x"'}
    refused(everything.post("/bundles/rollback", {}, headers=late), 412)
    assert rows(database, BundleChoice) == []


def test_what_is_begun_under_a_key_and_not_done_is_not_begun_again(
    everything: Program, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.api import bundles

    done = []

    def roll_back(context: Context, who: object, reason: str, **how: object) -> str:
        done.append(reason)
        if len(done) == 1:  # the same request comes while this one is worked on
            answer = everything.post("/bundles/rollback", {"reason": "r"}, key="k1")
            assert "not done yet" in refused(answer, 409)["detail"]
        return "x/1"

    monkeypatch.setattr(bundles.choices, "roll_back", roll_back)
    first, again = (
        everything.post("/bundles/rollback", {"reason": "r"}, key="k1") for _ in range(2)
    )
    assert first.json() == {"changed": True, "sentence": "x/1 is active again."}
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert done == ["r"]
    refused(everything.post("/bundles/rollback", {"reason": "s"}, key="k1"), 422)


def test_the_audit_trail_goes_on_page_by_page(everything: Program, context: Context) -> None:
    for number in range(5):
        everything.post("/users", {"name": f"user{number}", "role": "reader"})
    whole = everything.get("/audit?code=110113&limit=500").json()
    assert len(whole["items"]) == 5
    assert whole["items"][0]["about"][0]["identifier"] == "user4"
    found, cursor = [], ""
    while cursor is not None:
        page = everything.get(f"/audit?code=110113&limit=2{cursor}").json()
        found += page["items"]
        cursor = None if page["next"] is None else f"&cursor={page['next']}"
    assert found == whole["items"]
    assert everything.get("/audit/verification").json()["problem"] is None
    refused(everything.get("/audit?cursor=x"), 422)
    assert everything.get("/audit?user=nobody").json()["items"] == []


def test_settings_tell_where_they_come_from_and_no_secret(everything: Program) -> None:
    found = {each["key"]: each for each in everything.get("/settings").json()["items"]}
    assert found["console.port"]["value"] == "8080"
    assert found["data_dir"]["origin"]
    assert everything.get("/retention").json() == {"days": 0, "studies": 0, "oldest": []}


def test_health_tells_what_waits(reading: Program, database: Database, clock: Clock) -> None:
    reported_study(database, clock, film())
    told = reading.get("/health").json()
    assert told["status"] == "ok"
    assert told["free_bytes"] > 0
    assert [(each["kind"], each["count"]) for each in told["tasks"]] == [("deliver", 2)]
    assert told["undelivered"] == [
        {"destination": "pacs", "count": 2, "oldest": "2024-03-01T12:00:10Z"}
    ]


def test_administration_needs_its_scope(context: Context) -> None:
    with program(context, UserRole.OPERATOR) as them:
        for path in ("/users", "/tokens", "/audit", "/settings", "/bundles", "/peers"):
            answer = them.get(path)
            refused(answer, 403)
            assert 'scope="administer"' in answer.headers["WWW-Authenticate"]
