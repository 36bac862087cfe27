"""The REST API for people: the OpenAPI document as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from console.api.openapi import document_of
from console.pages.render import render
from console.security.access import Reader

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent or answered: its media type, and an example as it is written."""

    media_type: str
    example: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the API; `answers` are its statuses with what they mean."""

    id: str
    tag: str
    method: str
    path: str
    summary: str
    about: Markup
    scope: str
    parameters: list[Mapping[str, Any]]
    sent: list[Body]
    answered: list[Body]
    answers: list[tuple[str, str]]


@router.get("/api")
def show(request: Request, who: Reader) -> Response:
    """Show every call with its parameters, its answers, and an example of each."""
    document = document_of(request.app)
    found: dict[str, list[Call]] = {}
    for call in _calls(document):
        found.setdefault(call.tag, []).append(call)
    about = _html(document["info"]["description"])
    return render(request, "api.html", who=who, about=about, tags=found)


def _calls(document: Mapping[str, Any]) -> Iterator[Call]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            yield Call(
                id=operation["operationId"],
                tag=operation["tags"][0],
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                about=_html(operation["description"].partition("\n\nScope: ")[0]),
                scope=operation["security"][0]["token"][0],
                parameters=operation.get("parameters", []),
                sent=_bodies(operation.get("requestBody", {})),
                answered=[
                    body
                    for status, answer in answers.items()
                    if status < "3"
                    for body in _bodies(answer)
                ],
                answers=[(status, each["description"]) for status, each in answers.items()],
            )


def _bodies(holder: Mapping[str, Any]) -> list[Body]:
    return [
        Body(media_type, _written(content.get("example", "(the file)")))
        for media_type, content in holder.get("content", {}).items()
    ]


def _written(example: object) -> str:
    if isinstance(example, str):
        return example
    return json.dumps(example, indent=2, ensure_ascii=False)


def _html(text: str) -> Markup:
    """Return our own words, which are Markdown, as HTML."""
    made: str = MarkdownIt("commonmark", {"html": False}).render(text)
    return Markup(made)
