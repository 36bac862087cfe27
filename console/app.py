"""The web application: its pages, the API, the files that pages load, and what errors look like."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from console.api import ROUTERS as API
from console.api.openapi import methods_of
from console.api.problem import PREFIX, problem
from console.api.too_long import ProblemWhereTooLong
from console.context import Context
from console.pages import ROUTERS as PAGES
from console.pages.render import render_error
from console.security.access import MustChangeError
from console.security.body import LONGEST_BYTES, LimitedBody
from console.security.headers import SecurityHeaders
from console.services.errors import InvalidError, RefusedError
from console.shapes.base import Wrong

_log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"


def make_app(context: Context) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="Hilum", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.context = context
    # Not FastAPI's own limit: its answer would go past what is added below.
    app.add_middleware(LimitedBody, max_body_size=LONGEST_BYTES)
    app.add_middleware(ProblemWhereTooLong)
    app.add_middleware(SecurityHeaders)
    app.mount("/static", _Static(directory=STATIC), name="static")
    for router in (*PAGES, *API):
        app.include_router(router)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RefusedError, _not_done)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.add_exception_handler(Exception, _failed)
    return app


class _Static(StaticFiles):
    """Files that pages load: browsers keep them, and ask each time whether they are still so."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """Answer with a file."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith(PREFIX):
        headers = error.headers
        if error.status_code == 405:
            headers = {"Allow": ", ".join(methods_of(request.app.routes, request.url.path))}
        return problem(error.status_code, error.detail, headers)
    if _is_navigation(request):
        if isinstance(error, MustChangeError):
            return RedirectResponse("/password", 303)
        if error.status_code == 401:
            return RedirectResponse(_login_and_back(request), 303)
    return await run_in_threadpool(render_error, request, error.status_code, error.detail)


async def _not_done(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    if isinstance(error, InvalidError) and request.url.path.startswith(PREFIX):
        return _invalid(error)
    return await _refused(request, HTTPException(error.status, str(error)))


def _invalid(error: InvalidError) -> Response:
    """Tell which keys of what was sent do not fit, as of any other request that does not."""
    wrong = [
        Wrong(where="body", name=f"values.{key}" if key else "values", detail=sentence)
        for key, sentence in error.wrong.items()
    ]
    return problem(422, "; ".join(f"{each.name}: {each.detail}" for each in wrong), errors=wrong)


async def _misunderstood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was given is not repeated: it may be a patient's.
    wrong = [
        Wrong(
            where=str(each["loc"][0]),
            name=".".join(map(str, each["loc"][1:])) or "(all of it)",
            detail=each["msg"],
        )
        for each in error.errors()
    ]
    sentence = "; ".join(f"{each.name}: {each.detail}" for each in wrong)
    sentence = sentence or "The request is not understood."
    if request.url.path.startswith(PREFIX):
        return problem(422, sentence, errors=wrong)
    return await run_in_threadpool(render_error, request, 422, sentence)


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, SQLAlchemyError):
        status, sentence = 503, "The database does not answer. Try again in a moment."
    else:
        status, sentence = 500, "Something went wrong here. The log of the console says what."
    if request.url.path.startswith(PREFIX):
        return problem(status, sentence)
    return await run_in_threadpool(render_error, request, status, sentence)


def _is_navigation(request: Request) -> bool:
    """Tell whether a person wants to see a page, and no script asks for something."""
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    by_program = "Authorization" in request.headers
    return request.method in ("GET", "HEAD") and mode == "navigate" and not by_program


def _login_and_back(request: Request) -> str:
    where = quote(request.url.path)
    if request.url.query:
        where += f"?{request.url.query}"
    return "/login" if where == "/" else "/login?" + urlencode({"next": where})
