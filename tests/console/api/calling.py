"""Programs that call the API with a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

from console.context import Context
from console.security.scopes import Scope
from console.security.secret import digest, new_token
from db import tokens
from db.states import UserRole
from tests.console.browsing import add_user, browser

V1 = "/api/v1"


@dataclass(frozen=True)
class Program:
    """Something that calls in the name of a user."""

    client: TestClient
    name: str
    token: str
    user_id: int

    def call(self, method: str, path: str, **how: Any) -> Response:
        """Call a path below /api/v1."""
        headers = {"Authorization": f"Bearer {self.token}", **how.pop("headers", {})}
        return self.client.request(method, V1 + path, headers=headers, **how)

    def get(self, path: str, **how: Any) -> Response:
        """Read something."""
        return self.call("GET", path, **how)

    def post(self, path: str, body: Any = None, *, key: str | None = None, **how: Any) -> Response:
        """Have something done."""
        headers = {**({} if key is None else {"Idempotency-Key": key}), **how.pop("headers", {})}
        return self.call("POST", path, json=body, headers=headers, **how)


@contextmanager
def program(
    context: Context, role: UserRole = UserRole.ADMIN, *scopes: Scope, name: str = ""
) -> Iterator[Program]:
    """Make a user with a token of these scopes (all, where none is named), and call with it."""
    name = name or f"program-{role.value}-{'-'.join(scopes) or 'all'}"
    user_id = add_user(context, name, role)
    secret = new_token()
    with context.database.write() as session:
        now = context.database.now(session)
        given = list(scopes or Scope)
        tokens.add(session, user_id, "test", digest(secret), given, expires_at=None, now=now)
    with browser(context) as client:
        yield Program(client, name, secret, user_id)


def refused(answer: Response, status: int) -> dict[str, Any]:
    """Return the problem that an answer tells of, which has this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["title"]
    return told
