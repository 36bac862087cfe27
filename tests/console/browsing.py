"""The console in this process, and people who use it as a browser does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from httpx2 import Response
from starlette.testclient import TestClient

from audit import Trail
from audit.trail import folder_of
from console.app import make_app
from console.context import Context
from console.pictures.shown import Pictures
from console.security.passwords import Passwords
from console.security.seen import Seen
from db import accounts
from db.files import FileStore
from db.live import Live
from db.session import Database
from db.states import UserRole
from settings import load

PASSWORD = "correct horse battery"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Hashes that cost nothing."""


@dataclass(frozen=True)
class Person:
    """Somebody with a browser."""

    client: TestClient
    name: str

    def get(self, path: str, **how: Any) -> Response:
        """Open a page."""
        return self.client.get(path, **how)

    def post(self, path: str, form: dict[str, Any] | None = None, **how: Any) -> Response:
        """Send a form, with what our own page would show against forgery."""
        return self.client.post(path, data={"csrf": self.csrf, **(form or {})}, **how)

    @property
    def csrf(self) -> str:
        """What pages of ours show in this browser at present."""
        return shown_csrf(self.client.get("/password", headers={"X-Poll": "1"}))


@contextmanager
def running_console(
    database: Database, folder: Path, config: Path | None = None, **values: Any
) -> Iterator[Context]:
    """Make the context of a console with a data folder; `values` are settings by dotted key.

    What was changed in the console is looked for each time that the settings are asked for.
    """
    overrides = {
        "data_dir": str(folder),
        **{key.replace("__", "."): v for key, v in values.items()},
    }
    loaded = load(overrides, config=config, environ={})
    settings, live = loaded.settings, Live(loaded, database, look_seconds=0)
    store = FileStore(folder)
    store.prepare()
    with closing(Trail(settings)) as trail, closing(Pictures(settings, store)) as pictures:
        yield Context(live, database, store, trail, Passwords(QUICK), Seen(), pictures)


@contextmanager
def browser(context: Context, base: str = "http://testserver") -> Iterator[TestClient]:
    """Open a browser that nobody has logged in with; it follows no redirect by itself."""
    with TestClient(make_app(context), base_url=base, follow_redirects=False) as client:
        yield client


@contextmanager
def person(
    context: Context, role: UserRole, name: str = "", base: str = "http://testserver"
) -> Iterator[Person]:
    """Add a user of a role, and log in."""
    name = name or role.value
    add_user(context, name, role)
    with browser(context, base) as client:
        answer = log_in(client, name)
        assert answer.status_code == 303, answer.text
        yield Person(client, name)


def add_user(
    context: Context,
    name: str,
    role: UserRole = UserRole.READER,
    password: str = PASSWORD,
    *,
    must_change: bool = False,
) -> int:
    """Add a user, and return the id."""
    with context.database.write() as session:
        return accounts.add(
            session,
            name,
            role,
            now=context.database.now(session),
            password_hash=context.passwords.hash(password),
            must_change=must_change,
        ).id


def log_in(client: TestClient, name: str, password: str = PASSWORD, **form: str) -> Response:
    """Fill in the login form and send it."""
    shown = shown_csrf(client.get("/login"))
    return client.post("/login", data={"csrf": shown, "name": name, "password": password, **form})


def shown_csrf(answer: Response) -> str:
    """Return what a page shows against forgery."""
    found = re.search(r'<meta name="csrf" content="([0-9a-f]+)">', answer.text)
    assert found, answer.text
    return found[1]


def audit_records(context: Context) -> str:
    """Return everything that the audit trail holds."""
    files = sorted(folder_of(context.settings).glob("*.audit"))
    return "\n".join(each.read_text(encoding="utf-8") for each in files)
