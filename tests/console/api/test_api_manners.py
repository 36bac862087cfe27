"""What holds for every call of the API: who calls, how often, how much; what errors look like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.api.openapi import document_of, routes_of
from console.app import make_app
from console.context import Context
from console.security.access import role_needed
from console.security.pace import Pace
from db.session import Database
from tests.console.api.calling import Program, program, refused
from tests.console.browsing import Person, browser, running_console


def test_who_is_not_known_is_told_how_to_be(context: Context) -> None:
    with browser(context) as client:
        answer = client.get("/api/v1/studies/1")
        refused(answer, 401)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="hilum"'
        bad = client.get("/api/v1/studies/1", headers={"Authorization": "Bearer x"})
        refused(bad, 401)
        assert 'error="invalid_token"' in bad.headers["WWW-Authenticate"]


def test_a_browser_that_is_logged_in_may_read_the_api(reader: Person) -> None:
    assert reader.get("/api/v1/openapi.json").status_code == 200
    refused(reader.client.post("/api/v1/studies/1/retry"), 403)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_a_method_that_is_not_there_is_a_problem(reading: Program, method: str) -> None:
    answer = reading.call(method, "/studies/1/retry")
    refused(answer, 405)
    assert answer.headers["Allow"] == "POST"


def test_a_method_that_is_not_there_is_told_of_those_that_are(everything: Program) -> None:
    answer = everything.call("PUT", "/users")
    refused(answer, 405)
    assert answer.headers["Allow"] == "GET, POST"


def test_a_body_that_is_no_json_is_a_problem(everything: Program) -> None:
    answer = everything.call(
        "POST",
        "/studies/1/resend",
        content=b"{",
        headers={"Content-Type": "application/json"},
    )
    assert refused(answer, 422)["errors"][0]["where"] == "body"


@pytest.mark.parametrize("body", [b"\x80", b"[" * 100_000])
def test_a_body_that_is_no_text_is_a_problem(everything: Program, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    refused(everything.call("POST", "/studies/1/resend", content=body, headers=headers), 400)


def test_a_body_that_is_too_long_is_refused_before_it_is_read(everything: Program) -> None:
    refused(everything.call("POST", "/studies/1/resend", content=b" " * 262_145), 413)

    def chunks():  # type: ignore[no-untyped-def]
        for _ in range(300):
            yield b" " * 1024

    refused(everything.call("POST", "/studies/1/resend", content=chunks()), 413)


def test_a_form_that_is_too_long_is_refused_before_it_is_kept(context: Context) -> None:
    with browser(context) as client:
        too_long = {"name": ("a", b" " * 262_145)}
        assert client.post("/login", files=too_long).status_code == 413


def test_who_calls_too_often_is_told_when_to_go_on(database: Database, fast_folder: Path) -> None:
    with (
        running_console(database, fast_folder, console__requests_per_minute=3) as context,
        program(context, name="one") as one,
        program(context, name="other") as other,
    ):
        for _ in range(3):
            refused(one.get("/studies/1"), 404)
        answer = one.get("/studies/1")
        refused(answer, 429)
        assert 1 <= int(answer.headers["Retry-After"]) <= 20
        refused(other.get("/studies/1"), 404)


def test_the_pace_evens_out() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert [pace.take("a", 2) for _ in range(4)] == [0, 0, 30, 30]
    now[0] = 30.0
    assert [pace.take("a", 2) for _ in range(2)] == [0, 30]
    now[0] = 45.0
    assert pace.take("a", 2) == 15
    assert pace.take("b", 2) == 0
    now[0] = 1000.0
    assert [pace.take("a", 2) for _ in range(3)] == [0, 0, 30]


def test_the_document_says_of_every_call_what_it_may_answer(context: Context) -> None:
    app = make_app(context)
    document = document_of(app)
    json.dumps(document)
    assert document["openapi"].startswith("3.1")
    found = 0
    for route in routes_of(app.routes):
        for method in route.methods or ():
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            assert (operation is not None) == route.path.startswith("/api/v1/"), route.path
            if operation is None:
                continue
            found += 1
            where = f"{method} {route.path}"
            scope = {"reader": "read", "operator": "operate", "admin": "administer"}
            needed = scope[role_needed(route).value]
            assert operation["security"][0] == {"token": [needed]}, where
            assert operation["description"].endswith(f"Scope: `{needed}`."), where
            for status, answer in operation["responses"].items():
                if status >= "4":
                    assert list(answer["content"]) == ["application/problem+json"], where
            assert {"401", "403", "422", "429"} <= set(operation["responses"]), where
            assert ("{" in route.path) <= ("404" in operation["responses"]), where
    assert found >= 7


def test_the_document_names_nothing_that_it_does_not_have(context: Context) -> None:
    document = document_of(make_app(context))
    text = json.dumps(document)
    for name in set(text.split('"#/components/schemas/')[1:]):
        assert name.partition('"')[0] in document["components"]["schemas"]
    assert "HTTPValidationError" not in text


def test_documentation_comes_from_here_alone(context: Context) -> None:
    with browser(context) as client:
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert client.get(path).status_code == 404
        refused(client.get("/api/v1/openapi.json"), 401)
