"""Peers and destinations are changed in the console: checked, recorded, taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.context import Context
from db.models import ConfigurationChange
from db.session import Database
from db.states import UserRole
from tests.console.browsing import Person, audit_records, person, running_console
from tests.db.makers import rows

ROOT = "/administration"
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


@pytest.fixture
def context(database: Database, fast_folder: Path) -> Iterator[Context]:
    file = fast_folder / "hilum.toml"
    file.write_text(FILE)
    with running_console(database, fast_folder, config=file) as made:
        yield made


def form(admin: Person, path: str) -> dict[str, Any]:
    """Return what the form of a page would send, as it is shown."""
    text = admin.get(f"{ROOT}/{path}").text
    text = text.partition('class="stack form"')[2].partition("</form>")[0]
    sent: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", text):
        name = re.search(r'name="([^"]*)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if not name or name[1] == "csrf" or ("checkbox" in tag and " checked" not in tag):
            continue
        sent.setdefault(name[1], []).append(value[1] if value else "")
    for name, options in re.findall(r'<select name="([^"]*)"[^>]*>(.*?)</select>', text, re.DOTALL):
        chosen = re.search(r"<option selected>([^<]*)", options)
        sent[name] = chosen[1] if chosen else ""
    return sent


def destination(context: Context, name: str) -> Any:
    return context.settings.destination(name)


def version(context: Context) -> int:
    return max((each.id for each in rows(context.database, ConfigurationChange)), default=0)


def test_what_a_form_shows_changes_nothing_when_it_is_sent_back(
    admin: Person, context: Context
) -> None:
    before = context.settings.destinations
    for name in ("pacs", "web"):
        sent = form(admin, f"destinations/edit?name={name}")
        assert admin.post(f"{ROOT}/destinations/edit", sent).status_code == 303
    assert context.settings.destinations == before
    peer = form(admin, "peers/edit?name=CR1%4010.0.0.0/8")
    assert admin.post(f"{ROOT}/peers/edit", peer).status_code == 303
    assert [each.ae_title for each in context.settings.peers] == ["CR1"]


def test_a_destination_is_changed_at_once_and_the_change_is_told(
    admin: Person, context: Context
) -> None:
    sent = form(admin, "destinations/edit?name=pacs")
    changed = {
        **sent,
        "port": "11112",
        "objects": ["sr"],
        "tls.enabled": "true",
        "change-reason": "moves",
    }
    assert admin.post(f"{ROOT}/destinations/edit", changed).status_code == 303
    now = destination(context, "pacs")
    assert (now.port, now.objects, now.tls.enabled) == (11112, ("sr",), True)
    assert "changed here" in admin.get(f"{ROOT}/destinations").text
    page = admin.get(f"{ROOT}/changes").text
    assert "<del>104</del> → <ins>11112</ins>" in page
    assert "moves" in page
    settings = admin.get(f"{ROOT}/settings?search=destinations[0].port").text
    assert ">console<" in settings
    assert 'ParticipantObjectID="pacs"' in audit_records(context)


def test_what_does_not_fit_is_marked_and_nothing_is_recorded(
    admin: Person, context: Context
) -> None:
    sent = form(admin, "destinations/edit?name=pacs")
    wrong = {**sent, "port": "99999", "host": "", "sc_min_score": "<b>2</b>"}
    answer = admin.post(f"{ROOT}/destinations/edit", wrong)
    assert answer.status_code == 409
    assert answer.text.count('class="wrong"') == 3
    assert 'value="99999"' in answer.text
    assert "<b>2" not in answer.text
    assert rows(context.database, ConfigurationChange) == []


def test_a_destination_of_each_kind_is_added(admin: Person, context: Context) -> None:
    secrets = context.files.root / "secrets"
    for kind, values in {
        "dicom": {"ae_title": "A", "host": "a", "port": "104"},
        "dicomweb": {"url": "https://a.example.org", "token": f"file:{secrets}/web"},
        "hl7": {"host": "a", "port": "2575", "accession_fields": ["OBR-2"]},
        "fhir": {"url": "https://a.example.org/fhir"},
        "webhook": {"url": "https://a.example.org/h", "secret": "env:HILUM_SECRET_HOOK"},
    }.items():
        sent = form(admin, f"destinations/edit?kind={kind}")
        answer = admin.post(f"{ROOT}/destinations/edit", {**sent, "name": f"new-{kind}", **values})
        assert answer.status_code == 303, answer.text
        assert destination(context, f"new-{kind}").kind == kind
    assert destination(context, "new-hl7").accession_fields == ("OBR-2",)
    taken = form(admin, "destinations/edit?kind=dicom")
    again = {**taken, "name": "pacs", "ae_title": "A", "host": "a", "port": "104"}
    assert "already" in admin.post(f"{ROOT}/destinations/edit", again).text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"token": "geheim"}, "no secret is typed here"),
        ({"token": "file:/etc/passwd"}, "only a file in"),
        ({"token": "file:{secrets}/../hilum.sqlite"}, "only a file in"),
        ({"token": "env:HILUM_DATABASE_URL"}, "only a variable HILUM_SECRET_"),
        ({"url": "https://evil.example.org"}, "goes nowhere else"),
        ({"proxy": "https://evil.example.org"}, "goes nowhere else"),
    ],
)
def test_no_secret_is_typed_read_from_anywhere_or_sent_elsewhere(
    admin: Person, context: Context, change: dict[str, str], sentence: str
) -> None:
    secrets = str(context.files.root / "secrets")
    sent = form(admin, "destinations/edit?name=web")
    assert sent["token.kept"] == ["true"]
    filled = {key: value.replace("{secrets}", secrets) for key, value in change.items()}
    answer = admin.post(f"{ROOT}/destinations/edit", {**sent, **filled})
    assert answer.status_code == 409
    assert sentence in answer.text
    assert rows(context.database, ConfigurationChange) == []


def test_no_secret_of_the_file_is_shown_or_kept(admin: Person, context: Context) -> None:
    sent = form(admin, "destinations/edit?name=web")
    assert admin.post(f"{ROOT}/destinations/edit", {**sent, "results": "positive"}).status_code
    assert destination(context, "web").token.get_secret_value() == "a token that nobody sees"
    (row,) = rows(context.database, ConfigurationChange)
    pages = [admin.get(f"{ROOT}/{path}").text for path in ("changes", "settings", "destinations")]
    pages.append(admin.get(f"{ROOT}/destinations/edit?name=web").text)
    for text in (*pages, str(row.values), str(row.before), audit_records(context)):
        assert "nobody sees" not in text


def test_two_who_change_the_same_one_do_not_overwrite_each_other(
    admin: Person, context: Context
) -> None:
    first = form(admin, "destinations/edit?name=pacs")
    second = dict(first)
    assert admin.post(f"{ROOT}/destinations/edit", {**first, "port": "105"}).status_code == 303
    late = admin.post(f"{ROOT}/destinations/edit", {**second, "port": "106"})
    assert late.status_code == 412
    assert "changed by somebody else" in late.text
    assert destination(context, "pacs").port == 105


def test_a_change_is_taken_back_and_that_too(admin: Person, context: Context) -> None:
    sent = form(admin, "destinations/edit?name=pacs")
    admin.post(f"{ROOT}/destinations/edit", {**sent, "port": "105"})
    undo = {"change": version(context)}
    assert admin.post(f"{ROOT}/changes/undo", undo).status_code == 303
    assert destination(context, "pacs").port == 104
    assert admin.post(f"{ROOT}/changes/undo", undo).status_code == 412
    assert admin.post(f"{ROOT}/changes/undo", {"change": version(context)}).status_code == 303
    assert destination(context, "pacs").port == 105
    assert admin.post(f"{ROOT}/changes/undo", {"change": 99}).status_code == 404


def test_removed_and_as_the_file_has_it_again(admin: Person, context: Context) -> None:
    gone = {"name": "pacs", "version": 0}
    assert admin.post(f"{ROOT}/destinations/remove", gone).status_code == 303
    assert destination(context, "pacs") is None
    assert "Removed here" in admin.get(f"{ROOT}/destinations").text
    back = {"name": "pacs", "version": version(context)}
    assert admin.post(f"{ROOT}/destinations/reset", back).status_code == 303
    assert destination(context, "pacs").port == 104
    assert admin.post(f"{ROOT}/destinations/remove", {"name": "none"}).status_code == 404


def test_a_peer_gets_another_network_and_the_old_one_may_send_no_more(
    admin: Person, context: Context
) -> None:
    sent = form(admin, "peers/edit?name=CR1%4010.0.0.0/8")
    moved = {**sent, "address": "192.168.1.0/24"}
    assert admin.post(f"{ROOT}/peers/edit", moved).status_code == 303
    assert [each.address for each in context.settings.peers] == ["192.168.1.0/24"]
    assert context.settings.peer("CR1", "10.0.0.1") is None
    wrong = form(admin, "peers/edit")
    answer = admin.post(f"{ROOT}/peers/edit", {**wrong, "ae_title": "X" * 17, "address": "home"})
    assert answer.text.count('class="wrong"') == 2


def test_what_a_stronger_source_lists_cannot_be_changed(
    database: Database, fast_folder: Path, tmp_path: Path
) -> None:
    listed = [{"name": "x", "ae_title": "X", "host": "x", "port": 1}]
    with (
        running_console(database, fast_folder, destinations=listed) as made,
        person(made, UserRole.ADMIN, "boss") as them,
    ):
        sent = form(them, "destinations/edit?name=x")
        answer = them.post(f"{ROOT}/destinations/edit", {**sent, "port": "2"})
        assert answer.status_code == 409
        assert "stronger than what is changed here" in answer.text
