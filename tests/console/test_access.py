"""Roles and forged requests, on every route that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from console.app import make_app
from console.context import Context
from console.security.access import Admin, Operator, Reader
from console.security.secret import digest, new_token
from db import tokens
from db.models import ApiToken
from db.states import UserRole
from tests.console.browsing import Person, add_user, browser, person
from tests.db.makers import Clock, rows

OPEN = {
    ("GET", "/health"),
    ("GET", "/login"),
    ("GET", "/login/oidc"),
    ("GET", "/login/oidc/back"),
    ("POST", "/login"),
}
"""What is for everybody."""
NEEDED = {
    dependency.__metadata__[0].dependency: role
    for dependency, role in (
        (Reader, UserRole.READER),
        (Operator, UserRole.OPERATOR),
        (Admin, UserRole.ADMIN),
    )
}


def every_route(context: Context) -> Iterator[tuple[str, str, UserRole | None]]:
    """Yield method, path and role of every route but the files that pages load."""
    for route in routes(make_app(context).routes):
        needed = [NEEDED[each.call] for each in route.dependant.dependencies if each.call in NEEDED]
        for method in sorted(route.methods):
            yield method, re.sub(r"{[^}]+}", "1", route.path), needed[0] if needed else None


def routes(found: list) -> Iterator[APIRoute]:
    """Yield the routes, however they are nested."""
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes(route.original_router.routes)
        else:
            assert route.path == "/static", f"{route} is none that this test knows"


def call(client: TestClient, method: str, path: str, **how: object) -> int:
    headers = {"Sec-Fetch-Mode": "cors"}
    return client.request(method, path, headers=headers, **how).status_code


def test_every_route_is_open_on_purpose_or_needs_a_role(context: Context) -> None:
    found = list(every_route(context))
    assert len(found) >= 6
    assert {(method, path) for method, path, needed in found if needed is None} == OPEN


def test_nobody_gets_anything(context: Context) -> None:
    with browser(context) as client:
        for method, path, needed in every_route(context):
            if needed is not None:
                assert call(client, method, path) == 401, (method, path)


@pytest.mark.parametrize("role", list(UserRole))
def test_a_role_gets_no_more_than_it_may(context: Context, role: UserRole) -> None:
    with person(context, role) as them:
        shown = them.csrf
        for method, path, needed in every_route(context):
            if needed is not None and not role.may(needed):
                status = call(them.client, method, path, data={"csrf": shown})
                assert status == 403, (method, path, role)


def test_a_request_that_our_pages_did_not_make_changes_nothing(
    context: Context, admin: Person
) -> None:
    for method, path, needed in every_route(context):
        if method in ("GET", "HEAD"):
            continue
        for how in ({}, {"data": {"csrf": "0" * 64}}, {"json": {"csrf": admin.csrf}}):
            if needed is not None:
                assert call(admin.client, method, path, **how) == 403, (method, path, how)
    assert admin.get("/").status_code == 200


def test_a_script_shows_the_same_by_a_header(admin: Person) -> None:
    done = admin.client.post("/logout", headers={"X-CSRF-Token": admin.csrf})
    assert done.status_code == 303


def test_what_one_session_shows_is_worth_nothing_in_another(
    context: Context, admin: Person, reader: Person
) -> None:
    answer = admin.client.post("/logout", data={"csrf": reader.csrf})
    assert answer.status_code == 403


def token_for(context: Context, role: UserRole, *scopes: str, days: float | None = None) -> str:
    """Make a token of a user with this role."""
    user_id = add_user(context, f"program-{role.value}-{'-'.join(scopes)}", role)
    secret = new_token()
    with context.database.write() as session:
        now = context.database.now(session)
        expires = None if days is None else now + timedelta(days=days)
        tokens.add(session, user_id, "test", digest(secret), scopes, expires_at=expires, now=now)
    return secret


def with_token(client: TestClient, token: str) -> int:
    return client.get("/", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_token_is_good_until_it_expires_or_is_revoked(context: Context, clock: Clock) -> None:
    token = token_for(context, UserRole.READER, "read", days=1)
    other = token_for(context, UserRole.OPERATOR, "read")
    with browser(context) as client:
        assert with_token(client, token) == 200
        assert with_token(client, token + "x") == with_token(client, "") == 401
        clock.move(days=1)
        assert with_token(client, token) == 401
        assert with_token(client, other) == 200
        with context.database.write() as session:
            tokens.revoke(session, session.get_one(ApiToken, 2), clock())
        assert with_token(client, other) == 401
    assert [each.last_used_at is None for each in rows(context.database, ApiToken)] == [False] * 2


@pytest.mark.parametrize(
    ("role", "scopes", "may"),
    [
        (UserRole.ADMIN, ["read"], UserRole.READER),
        (UserRole.ADMIN, ["read", "operate"], UserRole.OPERATOR),
        (UserRole.READER, ["administer"], UserRole.READER),
        (UserRole.ADMIN, ["administer"], UserRole.ADMIN),
        (UserRole.ADMIN, [], None),
        (UserRole.ADMIN, ["something"], None),
    ],
)
def test_a_token_may_what_its_scopes_say_and_never_more_than_its_user(
    role: UserRole, scopes: list[str], may: UserRole | None
) -> None:
    from console.security.scopes import role_of

    assert role_of(scopes, role) is may


def test_every_answer_has_the_headers_that_keep_browsers_strict(reader: Person) -> None:
    for path in ("/", "/login", "/static/console.css", "/static/none.css", "/none"):
        headers = reader.get(path).headers
        assert "script-src 'self'" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == ("no-cache" if "console.css" in path else "no-store")


def test_what_is_not_there_is_told_on_a_page(reader: Person) -> None:
    answer = reader.get("/none")
    assert answer.status_code == 404
    assert "<h1>Not Found</h1>" in answer.text


def test_the_api_tells_of_errors_as_problem_details(reader: Person) -> None:
    answer = reader.get("/api/v1/none")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": "Not Found", "status": 404}
