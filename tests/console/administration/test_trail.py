"""The audit trail in the console: looked through, checked, and the look itself recorded."""

from __future__ import annotations

import re

from audit.events import LOGOUT, authentication
from audit.trail import folder_of
from console.context import Context
from tests.console.browsing import Person, add_user, audit_records, browser, log_in

AUDIT = "/administration/audit"


def events(text: str) -> list[str]:
    """Return what was done, row by row."""
    body = text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [cell.split("<")[0].strip() for cell in re.findall(r"</time></td>\s*<td>([^\n]*)", body)]


def test_it_is_looked_through_by_kind_user_and_outcome(admin: Person, context: Context) -> None:
    add_user(context, "bob")
    with browser(context) as client:
        log_in(client, "bob", "something else")
        log_in(client, "bob")
    form = {"name": "<b>eve</b>", "role": "reader"}
    admin.post("/administration/users/add", form)
    logins = admin.get(f"{AUDIT}?kind=110114").text
    assert events(logins) == ["Login", "Login", "Login"]
    failed = admin.get(f"{AUDIT}?kind=110114&outcome=failure").text
    assert events(failed) == ["Login"]
    assert "wrong name or password" in failed
    assert events(admin.get(f"{AUDIT}?user=BOB&outcome=success").text) == ["Login"]
    changed = admin.get(f"{AUDIT}?kind=110129").text
    assert events(changed) == ["Security Configuration"]
    assert "&lt;b&gt;eve&lt;/b&gt;" in changed
    assert "<b>eve" not in changed
    assert events(admin.get(f"{AUDIT}?day=2001-01-01").text) == []


def test_who_looks_at_it_is_recorded_in_it(admin: Person, context: Context) -> None:
    admin.get(f"{AUDIT}?user=eve")
    assert audit_records(context).count("Audit Log Used") == 2  # displayName and originalText
    looks = admin.get(f"{AUDIT}?kind=110101").text
    assert events(looks) == ["Audit Log Used"]


def test_it_is_read_page_by_page(admin: Person, context: Context) -> None:
    for number in range(60):
        context.trail.add(
            authentication(
                context.trail.now(),
                LOGOUT,
                person=context.trail.ours,
                ours=context.trail.ours,
                why=f"number {number}",
            )
        )
    first = admin.get(f"{AUDIT}?kind=110123").text
    more = re.search(r'href="(/administration/audit\?[^"]+)" rel="next"', first)
    assert more
    second = admin.get(more[1].replace("&amp;", "&")).text
    found = re.findall(r"number (\d+)", first + second)
    assert [int(each) for each in found] == list(range(59, -1, -1))


def test_what_was_changed_is_found_out(admin: Person, context: Context) -> None:
    good = admin.post(f"{AUDIT}/verify").text
    assert "fit together" in good
    (day,) = folder_of(context.settings).glob("*.audit")
    day.write_text(day.read_text().replace("Audit Log Used", "Audit Log Unused"))
    assert "The audit trail is broken" in admin.post(f"{AUDIT}/verify").text


def test_what_cannot_be_asked_is_said_in_a_sentence(admin: Person) -> None:
    for query, expected in (
        ("day=yesterday", 409),
        ("after=nowhere", 409),
        ("outcome=odd", 422),
    ):
        assert admin.get(f"{AUDIT}?{query}").status_code == expected, query


def test_operators_may_not_read_it(operator: Person) -> None:
    assert operator.get(AUDIT).status_code == 403
