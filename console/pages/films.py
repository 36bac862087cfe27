"""What the viewer loads of a film: its preview, all of its values, its heat map; and raw tags."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from sqlalchemy.orm import selectinload
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from console.context import Context, ContextDep
from console.pages.render import render
from console.pictures import film as films
from console.pictures.shown import CannotBeShownError, StoredFilm
from console.security.access import Reader
from console.security.audited import viewed
from console.security.who import Who
from db.models import Instance, Report, Result, Study

router = APIRouter(include_in_schema=False)

_KEPT = {"Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
"""A browser keeps a film, and asks each time whether it may still show it."""


@router.get("/films/{film_id}/preview.png")
def preview(film_id: int, request: Request, context: ContextDep, who: Reader) -> Response:
    """Show a film small, as a radiologist sees it."""
    instance = _seen(film_id, context, who)
    return _kept(
        request,
        f"{instance.file_sha256[:32]}-p{films.FORM}",
        lambda: Response(context.pictures.preview(_film(instance)), media_type="image/png"),
    )


@router.get("/films/{film_id}/pixels")
def pixels(film_id: int, request: Request, context: ContextDep, who: Reader) -> Response:
    """Send every value of a film, in the form that `console.pictures.film` tells of."""
    instance = _seen(film_id, context, who)
    return _kept(
        request,
        f"{instance.file_sha256[:32]}-v{films.FORM}",
        lambda: Response(
            context.pictures.pixels(_film(instance)),
            media_type=films.MEDIA_TYPE,
            headers={"Content-Encoding": "gzip"},
        ),
    )


@router.get("/films/{film_id}/heat")
def heat(film_id: int, request: Request, context: ContextDep, who: Reader) -> Response:
    """Tell where the bundle of the latest reading sees opacity; the network runs for it."""
    instance = _seen(film_id, context, who)
    if not instance.readings:
        raise HTTPException(404, "No bundle has read this film.")
    label = instance.readings[-1].bundle

    def made() -> Response:
        found = context.pictures.heat(_film(instance), label)
        rows, columns = found.cells.shape
        corners = {"x0": found.x0, "y0": found.y0, "x1": found.x1, "y1": found.y1}
        told = {"rows": rows, "columns": columns, **corners, "source": found.source}
        return JSONResponse({**told, "bundle": label, "cells": found.cells.ravel().tolist()})

    return _kept(request, f"{instance.file_sha256[:32]}-h{instance.readings[-1].id}", made)


@router.get("/films/{film_id}/tags")
def film_tags(film_id: int, request: Request, context: ContextDep, who: Reader) -> Response:
    """List every element of a film's header."""
    instance = _seen(film_id, context, who)
    return _tags(request, context, who, instance.study_id, instance.path, f"Film {film_id}")


@router.get("/results/{result_id}/tags")
def result_tags(result_id: int, request: Request, context: ContextDep, who: Reader) -> Response:
    """List every element of a result's header."""
    with context.database.read() as session:
        result = session.get(Result, result_id)
        if result is None:
            raise HTTPException(404, "There is no such result (any more).")
        study = session.get_one(Study, session.get_one(Report, result.report_id).study_id)
    viewed(context, who, [study])
    title = f"{result.kind.upper()} {result_id}"
    return _tags(request, context, who, study.id, result.path, title)


def _seen(film_id: int, context: Context, who: Who) -> Instance:
    """Find a film, and have the audit trail tell who sees it.

    Raises:
        HTTPException: 404, there is none.
    """
    with context.database.read() as session:
        instance = session.get(
            Instance,
            film_id,
            options=[selectinload(Instance.study), selectinload(Instance.readings)],
        )
    if instance is None:
        raise HTTPException(404, "There is no such film (any more).")
    viewed(context, who, [instance.study])
    return instance


def _film(instance: Instance) -> StoredFilm:
    return StoredFilm(instance.id, instance.path, instance.file_sha256)


def _kept(request: Request, tag: str, make: Callable[[], Response]) -> Response:
    """Answer with what is made, or that the browser has it (RFC 9110 13.1.2)."""
    etag = f'"{tag}"'
    headers = {**_KEPT, "ETag": etag}
    shown = [each.strip() for each in request.headers.get("If-None-Match", "").split(",")]
    if etag in shown or f"W/{etag}" in shown:
        return Response(status_code=304, headers=headers)
    try:
        response = make()
    except CannotBeShownError as error:
        return JSONResponse({"detail": str(error)}, 422)
    response.headers.update(headers)
    return response


def _tags(
    request: Request, context: Context, who: Who, study_id: int, path: str, title: str
) -> Response:
    problem, listed = "", []
    try:
        listed = context.pictures.tags(path)
    except CannotBeShownError as error:
        problem = str(error)
    part = request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
    template = "study_tags_table.html" if part else "study_tags.html"
    return render(
        request,
        template,
        who=who,
        status=422 if problem else 200,
        title=title,
        study_id=study_id,
        tags=listed,
        problem=problem,
    )
