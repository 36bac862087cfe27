"""Logging in and out: who is let in, for how long, and what the trail is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from console.app import make_app
from console.context import Context
from db import logins
from db.models import LoginAttempt, LoginSession, User
from db.session import Database
from db.states import UserRole
from tests.console.browsing import (
    PASSWORD,
    Person,
    add_user,
    audit_records,
    browser,
    log_in,
    person,
    running_console,
    shown_csrf,
)
from tests.db.makers import Clock, rows


def test_nobody_is_led_to_the_login_and_back_to_the_page(context: Context) -> None:
    add_user(context, "ada")
    with browser(context) as client:
        asked = client.get("/?finding=opacity")
        assert (asked.status_code, asked.headers["Location"]) == (
            303,
            "/login?next=%2F%3Ffinding%3Dopacity",
        )
        done = log_in(client, "ada", next="/?finding=opacity")
        assert (done.status_code, done.headers["Location"]) == (303, "/?finding=opacity")
        assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "/login", "evil"]
)
def test_no_login_leads_to_another_site(context: Context, elsewhere: str) -> None:
    add_user(context, "ada")
    with browser(context) as client:
        assert log_in(client, "ada", next=elsewhere).headers["Location"] == "/"


def test_a_wrong_password_and_an_unknown_name_are_told_alike(context: Context) -> None:
    add_user(context, "ada")
    with browser(context) as client:
        wrong = log_in(client, "ada", "something else")
        unknown = log_in(client, "bob", "something else")
        assert wrong.status_code == unknown.status_code == 401
        assert "Name or password is wrong." in wrong.text
        assert wrong.text.replace("ada", "bob") == unknown.text
        assert client.get("/").status_code == 303


def test_a_name_is_taken_however_it_is_capitalised(context: Context) -> None:
    add_user(context, "ada")
    with browser(context) as client:
        assert log_in(client, " Ada").status_code == 303


def test_only_digests_of_secrets_are_kept(context: Context, reader: Person) -> None:
    secret = reader.client.cookies["hilum_session"]
    with context.database.read() as session:
        connection = session.connection()
        kept = [
            str(row)
            for table in (User, LoginSession, LoginAttempt)
            for row in connection.execute(table.__table__.select())
        ]
    assert len(kept) == 2
    assert not any(secret in row or PASSWORD in row for row in kept)


def test_logging_out_ends_the_session_and_not_only_the_cookie(reader: Person) -> None:
    secret = reader.client.cookies["hilum_session"]
    done = reader.post("/logout")
    assert (done.status_code, done.headers["Location"]) == (303, "/login")
    reader.client.cookies.set("hilum_session", secret)
    assert reader.get("/").status_code == 303


def test_who_does_nothing_is_logged_out(reader: Person, clock: Clock) -> None:
    for _ in range(4):
        clock.move(minutes=20)
        assert reader.get("/").status_code == 200
    clock.move(minutes=31)
    assert reader.get("/").status_code == 303


def test_a_page_that_looks_again_by_itself_keeps_nobody_logged_in(
    reader: Person, clock: Clock
) -> None:
    for _ in range(2):
        clock.move(minutes=14)
        assert reader.get("/", headers={"X-Poll": "1"}).status_code == 200
    clock.move(minutes=3)
    assert reader.get("/", headers={"X-Poll": "1"}).status_code == 303


def test_everybody_is_logged_out_in_the_end(reader: Person, clock: Clock) -> None:
    last = 0
    for minutes in range(20, 24 * 60, 20):
        clock.move(minutes=20)
        if reader.get("/").status_code != 200:
            last = minutes
            break
    assert last == 12 * 60


def test_a_first_password_is_changed_before_anything_else(context: Context) -> None:
    add_user(context, "ada", must_change=True)
    with browser(context) as client:
        done = log_in(client, "ada")
        assert done.headers["Location"] == "/password"
        led = client.get("/")
        assert (led.status_code, led.headers["Location"]) == (303, "/password")
        them = Person(client, "ada")
        form = {"present": PASSWORD, "new": "a wholly other one", "again": "a wholly other one"}
        assert them.post("/password", form).headers["Location"] == "/"
        assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"present": "no"}, "The present password is wrong."),
        ({"new": "short", "again": "short"}, "A password has at least 12 characters."),
        ({"again": "another one than that"}, "The two new passwords differ."),
        ({"new": PASSWORD, "again": PASSWORD}, "The new password is the present one."),
        ({"new": "reader and more", "again": "reader and more"}, "not contain the user"),
        ({"new": "aaaaaaaaaaaaaaaa", "again": "aaaaaaaaaaaaaaaa"}, "same few characters"),
    ],
)
def test_a_password_is_not_changed_to_a_bad_one(
    reader: Person, context: Context, form: dict[str, str], sentence: str
) -> None:
    (before,) = rows(context.database, User)
    good = {"present": PASSWORD, "new": "a wholly other one", "again": "a wholly other one"}
    answer = reader.post("/password", {**good, **form})
    assert answer.status_code == 400
    assert sentence in answer.text
    (after,) = rows(context.database, User)
    assert after.password_hash == before.password_hash


def test_another_password_logs_out_the_other_sessions(reader: Person, context: Context) -> None:
    with browser(context) as other:
        log_in(other, "reader")
        assert other.get("/").status_code == 200
        form = {"present": PASSWORD, "new": "a wholly other one", "again": "a wholly other one"}
        assert reader.post("/password", form).status_code == 303
        assert other.get("/").status_code == 303
        assert reader.get("/").status_code == 200


def fail(client: TestClient, name: str = "ada") -> int:
    return log_in(client, name, "something else").status_code


@contextmanager
def browser_at(context: Context, address: str) -> Iterator[TestClient]:
    """Open a browser elsewhere."""
    made = TestClient(make_app(context), follow_redirects=False, client=(address, 50_000))
    with made as client:
        yield client


def test_who_fails_again_and_again_waits_longer_each_time_also_in_another_process(
    context: Context, clock: Clock, database: Database, fast_folder: Path
) -> None:
    add_user(context, "ada")
    with ExitStack() as stack:
        second = stack.enter_context(running_console(database, fast_folder))
        one, other = (stack.enter_context(browser(each)) for each in (context, second))
        for attempt in range(5):
            assert fail(one if attempt % 2 else other) == 401
        waits = []
        for _ in range(11):
            barred = log_in(other, "Ada")
            assert barred.status_code == 429
            assert log_in(one, "ada").status_code == 429  # asking too early costs nothing
            waits.append(int(barred.headers["Retry-After"]))
            clock.move(seconds=waits[-1])
            assert fail(one) == 401
        assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
        assert "Wait 15 minutes" in log_in(one, "ada").text
        clock.move(minutes=15)
        assert log_in(one, "ada").status_code == 303


def test_nobody_is_kept_out_by_who_fails_elsewhere(context: Context) -> None:
    add_user(context, "ada")
    with browser_at(context, "10.0.0.1") as attacker, browser_at(context, "10.0.0.2") as ada:
        for _ in range(40):
            fail(attacker)
        assert log_in(attacker, "ada").status_code == 429
        assert log_in(ada, "ada").status_code == 303
        assert log_in(attacker, "ada").status_code == 429  # that she is in forgives nobody else


def test_an_address_waits_after_too_many_names(context: Context, clock: Clock) -> None:
    with browser(context) as client:
        for number in range(30):
            assert fail(client, f"name{number}") == 401
        barred = log_in(client, "one more", "something else")
        assert (barred.status_code, barred.headers["Retry-After"]) == (429, "2")
        clock.move(seconds=2)
        assert fail(client, "one more") == 401
        assert fail(client, "another") == 429


def test_of_many_attempts_at_once_no_more_are_made_than_one_after_the_other(
    fresh_postgres: Callable[[], str], clock: Clock
) -> None:
    limits = logins.Limits()

    def attempt(_: int) -> bool:
        with database.write() as session:
            return not logins.attempt(session, "a", "10.0.0.1", limits, clock())

    opened = closing(Database(fresh_postgres(), clock=clock))
    with opened as database, ThreadPoolExecutor(12) as pool:
        made = sum(pool.map(attempt, range(12)))
    assert made == limits.per_account


def test_who_logs_in_starts_again_at_none(context: Context) -> None:
    add_user(context, "ada")
    with browser(context) as client:
        for _ in range(4):
            fail(client)
        assert log_in(client, "ada").status_code == 303
    with browser(context) as client:
        for _ in range(5):
            assert fail(client) == 401


def test_the_trail_tells_of_logins_and_keeps_no_text_that_is_no_name(context: Context) -> None:
    add_user(context, "ada")
    with browser(context) as client:
        log_in(client, "my secret password", "ada")
        log_in(client, "ada", "something else")
        log_in(client, "ada")
        Person(client, "ada").post("/logout")
    told = audit_records(context)
    assert "my secret password" not in told
    assert "something else" not in told
    assert told.count("User Authentication") == 2 * 4
    assert told.count('displayName="Login"') == 3
    assert told.count('displayName="Logout"') == 1
    assert told.count('UserID="ada"') == 3
    assert told.count('UserID="an unknown user"') == 1
    assert told.count('EventOutcomeIndicator="4"') == 2


def test_by_https_cookies_are_bound_to_the_host_and_never_go_out_unsecured(
    context: Context,
) -> None:
    add_user(context, "ada")
    with browser(context, "https://testserver") as client:
        kept = log_in(client, "ada").headers.get_list("set-cookie")
        (session,) = [each for each in kept if "__Host-hilum_session=" in each]
        assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= set(session.split("; "))
        assert "Domain" not in session
        assert client.get("/").headers["Strict-Transport-Security"]


def test_a_session_that_was_there_before_the_login_is_worth_nothing(context: Context) -> None:
    add_user(context, "ada")
    with browser(context) as client:
        client.cookies.set("hilum_session", "chosen by somebody else", "testserver.local")
        shown = shown_csrf(client.get("/login"))
        form = {"csrf": shown, "name": "ada", "password": PASSWORD}
        assert client.post("/login", data=form).status_code == 303
        assert client.get("/").status_code == 200
        assert all(each.value != "chosen by somebody else" for each in client.cookies.jar)


def test_a_removed_user_is_logged_out(context: Context) -> None:
    with person(context, UserRole.READER, "ada") as them, context.database.write() as session:
        from db import accounts

        found = accounts.find(session, "ada")
        assert found is not None
        accounts.remove(session, found)
        session.commit()
        assert them.get("/").status_code == 303


def test_a_session_is_short_enough_by_default(context: Context) -> None:
    web = context.settings.console
    assert timedelta(minutes=web.idle_minutes) < timedelta(hours=web.session_hours)


def test_a_disabled_user_is_out_at_once_and_in_again_when_enabled(context: Context) -> None:
    from db import accounts

    with person(context, UserRole.READER, "ada") as them:
        with context.database.write() as session:
            found = accounts.find(session, "ada")
            assert found is not None
            accounts.disable(session, found, now=context.database.now(session))
        assert them.get("/").status_code == 303
        assert log_in(them.client, "ada").status_code == 401
        with context.database.write() as session:
            found = accounts.find(session, "ada")
            assert found is not None
            accounts.enable(found)
        assert log_in(them.client, "ada").status_code == 303


def test_the_last_who_may_administer_cannot_be_disabled(context: Context) -> None:
    from db import accounts

    for name in ("boss", "deputy"):
        add_user(context, name, UserRole.ADMIN)
    with context.database.write() as session:
        boss, deputy = (accounts.find(session, name) for name in ("boss", "deputy"))
        assert boss is not None
        assert deputy is not None
        accounts.disable(session, deputy, now=context.database.now(session))
        session.flush()
        for change in (
            lambda: accounts.disable(session, boss, now=context.database.now(session)),
            lambda: accounts.set_role(session, boss, UserRole.READER),
            lambda: accounts.remove(session, boss),
        ):
            with pytest.raises(accounts.AccountError, match="only administrator"):
                change()
