"""Logging in at an identity provider: one on Authlib's server side; and tokens that lie."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey
from starlette.testclient import TestClient

from console.context import Context
from console.security.oidc import OidcError, checked, role_of
from db.models import User
from db.session import Database
from db.states import UserRole
from settings.console import Oidc
from tests.console.browsing import add_user, audit_records, browser, running_console
from tests.db.makers import rows
from tests.peers import ROOT, free_port, wait_until
from tests.peers.process import ChildProcess, running

PEOPLE = {
    "ada": {"preferred_username": "ada", "groups": ["radiology", "pacs-admins"]},
    "bob": {"preferred_username": "Bob", "groups": ["radiology"]},
    "eve": {"preferred_username": "eve", "groups": ["kitchen"]},
    "nameless": {"groups": ["radiology"]},
}
GROUPS = {"readers": ["radiology"], "admins": ["pacs-admins"]}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an identity provider that knows these people."""
    port, folder = free_port(), tmp_path_factory.mktemp("provider")
    people = [f"--user-claims={json.dumps({'sub': sub, **told})}" for sub, told in PEOPLE.items()]
    command = [sys.executable, "-m", "oidc_provider_mock", f"--port={port}", *people]
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{address}/.well-known/openid-configuration").is_success
        except httpx.HTTPError:
            return False

    process = ChildProcess(
        [*command, "--require-nonce=true"], log=folder / "log", cwd=ROOT, clean_exits=(0, -15)
    )
    with running(process):
        wait_until(answers, "the identity provider", process=process)
        yield address


@pytest.fixture
def context(database: Database, fast_folder: Path, issuer: str) -> Iterator[Context]:
    """A console that believes it."""
    with believing(database, fast_folder, issuer) as made:
        yield made


@contextmanager
def believing(database: Database, folder: Path, issuer: str) -> Iterator[Context]:
    given: dict[str, Any] = {"issuer": issuer, "client_id": "console", "client_secret": "hush"}
    values = {f"console__oidc__{key}": value for key, value in {**given, **GROUPS}.items()}
    with running_console(database, folder, **values) as made:
        yield made


def at_provider(client: TestClient, sub: str, path: str = "/login/oidc") -> str:
    """Begin a login, log in at the provider, and return where it sends the browser back to."""
    begun = client.get(path)
    assert begun.status_code == 303, begun.text
    asked = parse_qs(urlsplit(begun.headers["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    with httpx.Client(trust_env=False) as elsewhere:
        back = elsewhere.post(begun.headers["Location"], data={"sub": sub})
    assert back.status_code in (302, 303), back.text
    where = urlsplit(back.headers["Location"])
    assert (where.netloc, where.path) == ("testserver", "/login/oidc/back")
    return f"{where.path}?{where.query}"


def test_who_the_provider_vouches_for_is_logged_in_with_the_role_of_their_groups(
    context: Context,
) -> None:
    with browser(context) as client:
        assert "Log in with your account" in client.get("/login").text
        done = client.get(at_provider(client, "ada", "/login/oidc?next=/?period=all"))
        assert (done.status_code, done.headers["Location"]) == (303, "/?period=all")
        assert client.get("/").status_code == 200
        assert client.get("/password").status_code == 200
    with browser(context) as client:
        assert client.get(at_provider(client, "bob")).status_code == 303
    ada, bob = rows(context.database, User)
    assert (ada.name, ada.role, ada.password_hash) == ("ada", UserRole.ADMIN, None)
    assert (bob.name, bob.role) == ("bob", UserRole.READER)
    with browser(context) as client:  # the same person, and no second user
        client.get(at_provider(client, "ada"))
        assert client.get("/").status_code == 200
    assert len(rows(context.database, User)) == 2
    assert 'UserID="ada"' in audit_records(context)


@pytest.mark.parametrize(
    ("sub", "sentence"),
    [("eve", "your account has no role here"), ("nameless", "tells no name")],
)
def test_whom_no_group_lets_in_or_nobody_names_stays_outside(
    context: Context, sub: str, sentence: str
) -> None:
    with browser(context) as client:
        answer = client.get(at_provider(client, sub))
        assert answer.status_code == 403
        assert sentence in answer.text
        assert client.get("/").status_code == 303
    assert rows(context.database, User) == []


def test_nobody_gets_a_local_users_account_by_its_name(context: Context) -> None:
    add_user(context, "ada", UserRole.READER)
    with browser(context) as client:
        answer = client.get(at_provider(client, "ada"))
        assert answer.status_code == 403
        assert "there is a user ada already" in answer.text
        assert client.get("/").status_code == 303


def test_a_role_that_was_taken_away_is_gone_at_the_next_login(context: Context) -> None:
    with browser(context) as client:
        client.get(at_provider(client, "bob"))
    with context.database.write() as session:
        session.get_one(User, 1).role = UserRole.ADMIN
    with browser(context) as client:
        client.get(at_provider(client, "bob"))
    assert [each.role for each in rows(context.database, User)] == [UserRole.READER]


def test_a_login_that_another_browser_has_begun_is_not_ended_here(context: Context) -> None:
    """Else somebody could have a person work in an account that is not theirs."""
    with browser(context) as attacker, browser(context) as victim:
        back = at_provider(attacker, "ada")
        assert victim.get(back).status_code == 403
        at_provider(victim, "bob")
        assert victim.get(back).status_code == 403
        assert victim.get("/").status_code == 303


def test_a_code_is_good_once_and_one_that_was_made_up_never(context: Context) -> None:
    with browser(context) as client:
        back = at_provider(client, "ada")
        cookie = client.cookies["hilum_provider"]
        assert client.get(back).status_code == 303
        client.cookies.set("hilum_provider", cookie, "testserver.local")
        again = client.get(back)
        assert again.status_code == 403
        assert "did not confirm the login" in again.text
    with browser(context) as client:
        forged = at_provider(client, "ada").replace("code=", "code=x")
        assert client.get(forged).status_code == 403
    with browser(context) as client:
        at_provider(client, "ada")
        assert client.get("/login/oidc/back?error=access_denied").status_code == 403


def test_a_provider_that_does_not_answer_is_told_of(database: Database, fast_folder: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with believing(database, fast_folder, nobody) as context, browser(context) as client:
        answer = client.get("/login/oidc")
        assert answer.status_code == 502
        assert "the identity provider does not answer" in answer.text


def test_without_a_provider_there_is_no_such_login(database: Database, fast_folder: Path) -> None:
    with running_console(database, fast_folder) as context, browser(context) as client:
        assert client.get("/login/oidc").status_code == 404
        assert "account of the house" not in client.get("/login").text


# --- tokens that lie -----------------------------------------------------------------------------

KEY = ECKey.generate_key("P-256", {"kid": "one"})
KEYS = KeySet([KEY]).as_dict(private=False)
OIDC = Oidc(issuer="https://id.example", client_id="console", readers=("r",))


def token(key: ECKey = KEY, **claims: Any) -> str:
    now = int(time.time())
    good = {
        "iss": "https://id.example",
        "sub": "1",
        "aud": "console",
        "exp": now + 300,
        "iat": now,
        "nonce": "n",
    }
    held = {name: value for name, value in {**good, **claims}.items() if value is not None}
    return jwt.encode({"alg": "ES256", "kid": "one"}, held, key)


def test_a_good_token_is_believed() -> None:
    assert checked(token(), KEYS, OIDC, "https://id.example", "n")["sub"] == "1"
    several = token(aud=["console", "other"], azp="console")
    assert checked(several, KEYS, OIDC, "https://id.example", "n")["sub"] == "1"


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"aud": ["console", "other"]},
        {"azp": "other"},
        {"exp": int(time.time()) - 600},
        {"nonce": "m"},
        {"nonce": None},
        {"sub": None},
        {"exp": None},
        {"iat": int(time.time()) + 86_400},
        {"key": ECKey.generate_key("P-256", {"kid": "one"})},
    ],
)
def test_a_token_that_lies_is_not_believed(lie: dict[str, Any]) -> None:
    with pytest.raises(OidcError):
        checked(token(**lie), KEYS, OIDC, "https://id.example", "n")


def test_a_token_without_a_key_pair_is_not_believed() -> None:
    """One that is signed by a secret that everybody knows, or not at all."""
    shared = OctKey.import_key("a secret that is long enough for HS256")
    by_secret = jwt.encode({"alg": "HS256"}, {"sub": "1"}, shared)
    unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."
    for each in (by_secret, unsigned, "x", ""):
        with pytest.raises(OidcError):
            checked(each, KEYS, OIDC, "https://id.example", "n")


def test_the_highest_group_counts() -> None:
    oidc = Oidc(issuer="https://i", client_id="c", readers=("r",), operators=("o",), admins=("a",))
    for groups, role in (
        (["r", "o"], UserRole.OPERATOR),
        (["o", "a", 1], UserRole.ADMIN),
        ("r", UserRole.READER),
        ([], None),
        (None, None),
        ({"a": 1}, None),
    ):
        assert role_of(groups, oidc) is role
