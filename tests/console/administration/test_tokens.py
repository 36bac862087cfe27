"""Tokens in the console: shown once, good for what was chosen, never in another person's name."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from console.context import Context
from db.models import ApiToken, User
from db.states import UserRole
from tests.console.administration.test_users import shown_secret, user
from tests.console.browsing import Person, add_user, audit_records, browser
from tests.db.makers import Clock, rows

TOKENS = "/administration/tokens"


@pytest.fixture
def program(admin: Person, context: Context) -> User:
    """A program that an operator's token is for."""
    form = {"name": "script", "role": "operator", "program": "true"}
    admin.post("/administration/users/add", form)
    return user(context, "script")


def form(owner: User, **values: Any) -> dict[str, Any]:
    return {"user": owner.id, "name": "Script", "scope": ["read"], "days": "30", **values}


def status(client: TestClient, token: str) -> int:
    return client.get("/", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_token_is_shown_once_and_good_until_it_expires(
    admin: Person, context: Context, clock: Clock, program: User
) -> None:
    secret = shown_secret(admin.post(f"{TOKENS}/make", form(program)).text)
    listed = admin.get(TOKENS).text
    assert "Script" in listed
    assert secret not in listed + audit_records(context)
    with browser(context) as client:
        assert status(client, secret) == 200
        clock.move(days=31)
        assert status(client, secret) == 401


def test_a_token_is_good_for_nothing_when_it_is_revoked_or_its_user_disabled(
    admin: Person, context: Context, program: User
) -> None:
    first, second = (
        shown_secret(admin.post(f"{TOKENS}/make", form(program, days="")).text) for _ in range(2)
    )
    token = rows(context.database, ApiToken)[0]
    assert token.expires_at is None
    with browser(context) as client:
        assert admin.post(f"{TOKENS}/revoke", {"token": token.id}).status_code == 303
        assert [status(client, first), status(client, second)] == [401, 200]
        admin.post("/administration/users/disable", {"user": program.id})
        assert status(client, second) == 401
    assert admin.post(f"{TOKENS}/revoke", {"token": 99}).status_code == 404


def test_nobody_gets_a_token_in_the_name_of_another_person(admin: Person, context: Context) -> None:
    add_user(context, "bob", UserRole.READER)
    answer = admin.post(f"{TOKENS}/make", form(user(context, "bob")))
    assert answer.status_code == 409
    assert "in that person" in answer.text
    assert rows(context.database, ApiToken) == []
    assert "bob (reader" not in admin.get(TOKENS).text
    assert "admin (admin, you)" in admin.get(TOKENS).text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": " "}, 409),
        ({"name": "x" * 65}, 409),
        ({"scope": []}, 409),
        ({"scope": ["root"]}, 422),
        ({"days": "9999"}, 409),
        ({"days": "0"}, 409),
        ({"days": "-1"}, 422),
        ({"user": 99}, 404),
    ],
)
def test_what_is_no_token_is_refused(
    admin: Person, context: Context, program: User, change: dict[str, Any], expected: int
) -> None:
    assert admin.post(f"{TOKENS}/make", form(program, **change)).status_code == expected
    assert rows(context.database, ApiToken) == []
