"""Every call is documented by examples that hold, and people can read them on a page."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from console.api.openapi import document_of
from console.app import make_app
from console.context import Context
from tests.console.browsing import Person, browser


def test_every_call_has_examples_of_what_is_sent_and_answered(context: Context) -> None:
    document = document_of(make_app(context))
    found = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            for parameter in operation.get("parameters", ()):
                assert (
                    not parameter["required"]
                    or "example" in parameter
                    or "examples" in (parameter | parameter["schema"])
                ), where
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for body in bodies:
                for kind, content in body.get("content", {}).items():
                    if kind == "application/zip" and body is bodies[0]:
                        continue  # no text is an example of a file
                    fits(content, document, f"{where}: {kind}")
                    found += 1
            good = {key: each for key, each in operation["responses"].items() if key < "3"}
            assert good, where
            assert all("content" in each for key, each in good.items() if key != "204"), where
    assert found > 300


def fits(content: dict[str, Any], document: dict[str, Any], where: str) -> None:
    """Hold an example against the schema that it is of."""
    assert "example" in content, where
    schema = {**content["schema"], "components": document["components"]}
    jsonschema.validate(content["example"], schema)


def test_the_page_shows_every_call_and_loads_nothing(context: Context, reader: Person) -> None:
    page = reader.get("/api")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    document = document_of(make_app(context))
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert f'id="{operation["operationId"]}"' in page.text, (method, path)
    assert "&#34;Curie^Marie&#34;" in page.text
    for loading in ("http://", "https://", "<style", " style=", "onclick"):
        assert loading not in page.text, loading
    assert 'href="/api"' in reader.get("/verdicts").text
    json.dumps(document)


def test_nobody_reads_the_page_who_is_not_known(context: Context) -> None:
    with browser(context) as client:
        assert client.get("/api").status_code == 303
