"""Users in the console: first passwords are shown once, roles hold at once, somebody stays."""

from __future__ import annotations

import re

import pytest

from console.context import Context
from db.models import User
from db.states import UserRole
from tests.console.browsing import Person, add_user, audit_records, browser, log_in
from tests.db.makers import rows

USERS = "/administration/users"


def user(context: Context, name: str) -> User:
    return next(each for each in rows(context.database, User) if each.name == name)


def shown_secret(text: str) -> str:
    found = re.search(r'<code class="secret" id="secret">([^<]+)</code>', text)
    assert found, text
    return found[1]


def test_a_new_user_logs_in_with_the_password_that_is_shown_once(
    admin: Person, context: Context
) -> None:
    made = admin.post(f"{USERS}/add", {"name": "Grace", "role": "operator"})
    password = shown_secret(made.text)
    assert password not in admin.get(USERS).text
    with browser(context) as client:
        done = log_in(client, "grace", password)
        assert done.headers["Location"] == "/password"
    assert user(context, "grace").role is UserRole.OPERATOR
    told = audit_records(context)
    assert password not in told
    assert 'ParticipantObjectID="grace"' in told


def test_a_program_has_no_login(admin: Person, context: Context) -> None:
    form = {"name": "dashboard", "role": "reader", "program": "true"}
    assert admin.post(f"{USERS}/add", form).status_code == 303
    made = user(context, "dashboard")
    assert (made.password_hash, made.must_change) == (None, False)
    reset = admin.post(f"{USERS}/password", {"user": made.id})
    assert reset.status_code == 409
    assert "has no password" in reset.text


@pytest.mark.parametrize("name", ["", "admin", "two words", "x" * 65])
def test_a_name_that_is_none_or_taken_is_refused(
    admin: Person, context: Context, name: str
) -> None:
    answer = admin.post(f"{USERS}/add", {"name": name, "role": "reader"})
    assert answer.status_code == 409
    assert 'class="alert bad"' in answer.text
    assert len(rows(context.database, User)) == 1


def test_a_role_holds_from_the_next_click_on(
    admin: Person, reader: Person, context: Context
) -> None:
    assert reader.get(USERS).status_code == 403
    form = {"user": user(context, "reader").id, "role": "admin"}
    assert admin.post(f"{USERS}/role", form).status_code == 303
    assert reader.get(USERS).status_code == 200


def test_a_reset_logs_out_and_makes_the_old_password_worthless(
    admin: Person, reader: Person, context: Context
) -> None:
    answer = admin.post(f"{USERS}/password", {"user": user(context, "reader").id})
    assert reader.get("/").status_code == 303
    with browser(context) as client:
        assert log_in(client, "reader").status_code == 401
        assert log_in(client, "reader", shown_secret(answer.text)).status_code == 303


def test_a_user_is_disabled_enabled_and_removed(
    admin: Person, reader: Person, context: Context
) -> None:
    them = {"user": user(context, "reader").id}
    assert admin.post(f"{USERS}/disable", them).status_code == 303
    assert reader.get("/").status_code == 303
    assert "disabled" in admin.get(USERS).text
    assert admin.post(f"{USERS}/enable", them).status_code == 303
    assert log_in(reader.client, "reader").status_code == 303
    assert admin.post(f"{USERS}/remove", them).status_code == 303
    assert [each.name for each in rows(context.database, User)] == ["admin"]
    assert admin.post(f"{USERS}/remove", them).status_code == 404


def test_nobody_removes_or_disables_themselves_nor_the_last_who_may_administer(
    admin: Person, context: Context
) -> None:
    me = {"user": user(context, "admin").id}
    for path, form in (("remove", me), ("disable", me), ("role", {**me, "role": "reader"})):
        assert admin.post(f"{USERS}/{path}", form).status_code == 409, path
    add_user(context, "deputy", UserRole.ADMIN)
    assert admin.post(f"{USERS}/remove", me).status_code == 409
    assert admin.get(USERS).status_code == 200


def test_a_name_is_shown_as_text(admin: Person) -> None:
    answer = admin.post(f"{USERS}/add", {"name": "<script>x</script>", "role": "reader"})
    assert "<script>x" not in answer.text
    assert "&lt;script&gt;x&lt;/script&gt;" in answer.text
