"""The OpenAPI document: what there is, with examples, and which scope each call needs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from console.api.examples import add_examples
from console.api.routes import router_of
from console.security.access import Reader, role_needed
from console.security.scopes import scope_of
from console.shapes.base import Problem

_ABOUT = """\
What the console shows, for programs: studies, what can be done with them, and the administration.

Show a token in each request: `Authorization: Bearer hilum_…`. Its scopes (`read`, `operate`,
`administer`) say how far it reaches, and never further than its user's role. Errors are problem
details (RFC 9457). Lists go on by `next`, which is given back as `cursor`. What is read carries an
`ETag`; what changes something takes `If-Match`, and an `Idempotency-Key` where doing it twice would
do harm. Times are in UTC.
"""

router: APIRouter = router_of("about")


@router.get("/openapi.json", response_class=JSONResponse)
def read_openapi(request: Request, who: Reader) -> Response:
    """Return this document."""
    return JSONResponse(document_of(request.app))


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the document of an application; it is made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _made(app)
    return app.openapi_schema


def _made(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title="Hilum",
        version=version("hilum"),
        description=_ABOUT,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    parts = made.setdefault("components", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts.setdefault("schemas", {}).update(problem.pop("$defs", {}) | {"Problem": problem})
    parts["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token of the API."},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "hilum_session",
            "description": "The cookie of a browser that is logged in. What changes something"
            " needs the header X-CSRF-Token too.",
        },
    }
    for route in routes_of(app.routes):
        for method in route.methods or ():
            operation = made["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None:
                scope = scope_of(role_needed(route)).value
                operation["security"] = [{"token": [scope]}, {"session": []}]
                operation["description"] = f"{operation['description']}\n\nScope: `{scope}`."
    add_examples(made)
    return made


def routes_of(found: Any) -> Iterator[APIRoute]:
    """Yield the routes of an application, however they are nested."""
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router.routes)


def methods_of(routes: Any, path: str) -> list[str]:
    """Return the methods that a path is there for, by any of its routes (RFC 9110 15.5.6)."""
    fitting = (each for each in routes_of(routes) if each.path_regex.match(path))
    return sorted({method for each in fitting for method in each.methods or ()})
