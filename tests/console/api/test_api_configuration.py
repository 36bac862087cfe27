"""Peers and destinations by the API: added, edited, removed, taken back, by the pages' rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from console.context import Context
from db.models import ConfigurationChange
from db.session import Database
from tests.console.api.calling import Program, program, refused
from tests.console.browsing import audit_records, running_console
from tests.db.makers import rows

FILE = """
[[peers]]
ae_title = "CR1"
address = "10.0.0.0/8"

[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "pacs.example.org"
port = 104

[[destinations]]
name = "web"
kind = "dicomweb"
url = "https://web.example.org"
token = "a token that nobody sees"
"""
DESTINATIONS, PEERS = "/configuration/destinations", "/configuration/peers"
NEW = {"kind": "dicom", "name": "new", "ae_title": "NEW", "host": "10.0.0.2", "port": 104}
CR1 = f"{PEERS}/item?name={quote('CR1@10.0.0.0/8')}"


@pytest.fixture
def context(database: Database, fast_folder: Path) -> Iterator[Context]:
    file = fast_folder / "hilum.toml"
    file.write_text(FILE)
    with running_console(database, fast_folder, config=file) as made:
        yield made


def put(caller: Program, path: str, values: dict, tag: str | None = None, **more: object):  # type: ignore[no-untyped-def]
    headers = {} if tag is None else {"If-Match": tag}
    return caller.call("PUT", path, json={"values": values, **more}, headers=headers)


def test_what_is_read_changes_nothing_when_it_is_given_back(
    everything: Program, context: Context
) -> None:
    before = context.settings
    for path in (f"{DESTINATIONS}/item?name=pacs", f"{DESTINATIONS}/item?name=web", CR1):
        read = everything.get(path)
        assert read.status_code == 200, read.text
        given = put(everything, path, read.json()["values"], read.headers["ETag"])
        assert given.status_code == 200, given.text
        assert given.json()["values"] == read.json()["values"]
    assert context.settings.destinations == before.destinations
    assert context.settings.peers == before.peers


def test_a_destination_is_added_once_edited_removed_and_reset(
    everything: Program, context: Context
) -> None:
    body = {"values": NEW, "reason": "a new archive"}
    added = everything.post(DESTINATIONS, body, key="k1")
    assert added.status_code == 201, added.text
    assert added.json()["values"] == NEW
    again = everything.post(DESTINATIONS, body, key="k1")
    assert (again.status_code, again.content) == (201, added.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "already" in refused(everything.post(DESTINATIONS, body), 422)["detail"]

    tag = everything.get(f"{DESTINATIONS}/item?name=new").headers["ETag"]
    edited = put(everything, f"{DESTINATIONS}/item?name=new", {**NEW, "port": 105}, tag)
    assert edited.json()["values"]["port"] == 105
    destination = context.settings.destination("new")
    assert getattr(destination, "port", None) == 105
    refused(put(everything, f"{DESTINATIONS}/item?name=new", {**NEW, "port": 106}, tag), 412)

    gone = everything.call("DELETE", f"{DESTINATIONS}/item?name=pacs&reason=sold")
    assert gone.status_code == 204
    assert context.settings.destination("pacs") is None
    removed = everything.get(f"{DESTINATIONS}/item?name=pacs").json()
    assert (removed["values"], removed["in_file"]) == (None, True)
    reset = everything.post(f"{DESTINATIONS}/item/reset?name=pacs", {})
    assert reset.json()["kind"] == "as_file"
    assert context.settings.destination("pacs") is not None
    assert 'ParticipantObjectID="pacs"' in audit_records(context)


def test_a_change_is_taken_back_once(everything: Program, context: Context) -> None:
    values = everything.get(f"{DESTINATIONS}/item?name=pacs").json()["values"]
    put(everything, f"{DESTINATIONS}/item?name=pacs", {**values, "port": 105}, reason="moves")
    (change,) = everything.get("/configuration-changes").json()["items"]
    assert (change["kind"], change["reason"], change["may_be_undone"]) == ("set", "moves", True)
    assert {"key": "port", "was": "104", "now": "105"} in change["keys"]
    undo = f"/configuration-changes/{change['id']}/undo"
    undone = everything.post(undo, {"reason": "it does not"}, key="k1")
    assert undone.json()["undoes"] == change["id"]
    assert everything.post(undo, {"reason": "it does not"}, key="k1").content == undone.content
    refused(everything.post(undo, {}), 412)
    refused(everything.post("/configuration-changes/99/undo", {}), 404)
    assert len(rows(context.database, ConfigurationChange)) == 2
    destination = context.settings.destination("pacs")
    assert getattr(destination, "port", None) == 104


def test_a_peer_gets_another_network_and_is_another_one(
    everything: Program, context: Context
) -> None:
    values = everything.get(CR1).json()["values"]
    moved = put(everything, CR1, {**values, "address": "192.168.1.0/24"})
    assert moved.json()["name"] == "CR1@192.168.1.0/24"
    assert moved.headers["Content-Location"].endswith("peers/item?name=CR1%40192.168.1.0%2F24")
    assert [each.address for each in context.settings.peers] == ["192.168.1.0/24"]


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({**NEW, "port": 99999}, "values.port"),
        ({**NEW, "nothing": 1}, "values.nothing"),
        ({**NEW, "kind": "pigeon"}, "values.kind"),
        ({**NEW, "kind": ["dicom"]}, "values.kind"),
        ({"kind": "dicom", "name": "new"}, "values.ae_title"),
        ({**NEW, "name": "a\u0000"}, "values"),
    ],
)
def test_what_does_not_fit_is_told_key_by_key_and_nothing_is_recorded(
    everything: Program, context: Context, values: dict, where: str
) -> None:
    told = refused(everything.post(DESTINATIONS, {"values": values}), 422)
    assert where in [each["name"] for each in told["errors"]]
    assert "pigeon" not in str(told)
    assert rows(context.database, ConfigurationChange) == []


@pytest.mark.parametrize("change", [{"name": "other"}, {"kind": "hl7"}])
def test_the_name_and_kind_of_a_destination_stay(everything: Program, change: dict) -> None:
    told = refused(
        put(everything, f"{DESTINATIONS}/item?name=pacs", {**NEW, "name": "pacs", **change}), 422
    )
    assert "stays" in told["detail"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"token": "geheim"}, "no secret is typed here"),
        ({"token": "file:/etc/passwd"}, "only a file in"),
        ({"url": "https://evil.example.org"}, "goes nowhere else"),
    ],
)
def test_no_secret_is_shown_typed_or_sent_elsewhere(
    everything: Program, context: Context, change: dict, sentence: str
) -> None:
    read = everything.get(f"{DESTINATIONS}/item?name=web")
    assert "nobody sees" not in read.text
    assert read.json()["values"]["token"] == "@file"
    changed = put(everything, f"{DESTINATIONS}/item?name=web", {**read.json()["values"], **change})
    assert sentence in refused(changed, 422)["detail"]
    assert rows(context.database, ConfigurationChange) == []


def test_configuration_needs_its_scope(context: Context, reading: Program) -> None:
    refused(reading.get(DESTINATIONS), 403)
    refused(reading.post(DESTINATIONS, {"values": NEW}), 403)


def test_what_a_stronger_source_lists_cannot_be_changed(
    database: Database, fast_folder: Path
) -> None:
    with (
        running_console(database, fast_folder, destinations=[NEW]) as made,
        program(made, name="boss") as them,
    ):
        told = refused(them.post(DESTINATIONS, {"values": {**NEW, "name": "x"}}), 409)
        assert "stronger than what is changed here" in told["detail"]


@pytest.mark.parametrize(
    "path", [f"{DESTINATIONS}/item?name=none", f"{PEERS}/item?name=none%401.2.3.4"]
)
def test_what_is_not_there_is_told(everything: Program, path: str) -> None:
    refused(everything.get(path), 404)
    refused(put(everything, path, NEW), 404)
    refused(everything.call("DELETE", path), 404)
