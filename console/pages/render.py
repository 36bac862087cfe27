"""A page from its template: everything is escaped, and every template knows who looks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from console.pages.navigation import NAVIGATION
from console.pages.words import (
    age,
    count,
    date_in_words,
    duration,
    grey,
    percent,
    person_name,
    size,
)
from console.security import csrf
from console.security.who import Who

_TEMPLATES = Path(__file__).parent.parent / "templates"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "age": age,
        "count": count,
        "percent": percent,
        "person": person_name,
        "date": date_in_words,
        "duration": duration,
        "grey": grey,
        "size": size,
        "iso": _iso,
    }
    return made


def render(
    request: Request,
    template: str,
    *,
    who: Who | None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """Return a page.

    Templates get `values` and: `who` (a `Who`, or None), `csrf` (for the forms' hidden field),
    `path`, and `navigation` (the entries that are for them).
    """
    return HTMLResponse(html(request, template, who=who, **values), status, headers)


def html(request: Request, template: str, *, who: Who | None, **values: Any) -> str:
    """Return a page, or a part of one, as text."""
    given = {
        "csrf": csrf.expected(request) or "",
        "who": who,
        "path": request.url.path,
        "navigation": [each for each in NAVIGATION if who is not None and who.role.may(each.role)],
    }
    return _environment().get_template(template).render(given | values)


def render_error(request: Request, status: int, sentence: str) -> HTMLResponse:
    """Return the page of an error."""
    title = HTTPStatus(status).phrase
    return render(
        request, "error.html", who=None, status=status, code=status, title=title, sentence=sentence
    )


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
