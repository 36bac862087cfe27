"""The files that are kept: films as they came, results as they are sent."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from audit.message import Instances
from console.api.etags import IfNoneMatch, fits
from console.api.problem import documented
from console.api.routes import RowId, router_of
from console.context import Context, ContextDep
from console.pictures.film import FORM
from console.pictures.shown import CannotBeShownError, StoredFilm
from console.security.access import Reader
from console.security.audited import taken, viewed
from console.security.who import Who
from db.files import AwayError
from db.models import Instance, Report, Result, Study

router: APIRouter = router_of("files")

_DICOM = "application/dicom"
_LOST = "Its file is lost; `hilum doctor` says more about such files."
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A DICOM file (PS3.10).",
        "content": {_DICOM: {"schema": {"type": "string", "format": "binary"}}},
    },
    **documented(404, 503),
}


@router.get("/films/{film_id}/file", response_class=Response, responses=_ANSWERS)
def read_film(film_id: RowId, context: ContextDep, who: Reader) -> Response:
    """Return a film as the DICOM file that is kept: its data set byte for byte as it came."""
    with context.database.read() as session:
        film = session.get(Instance, film_id)
        if film is None:
            raise HTTPException(404, f"There is no film {film_id}.")
        study = session.get_one(Study, film.study_id)
    return _sent(context, who, study, film, f"film-{film_id}.dcm")


@router.get(
    "/films/{film_id}/preview",
    response_class=Response,
    responses={
        200: {
            "description": "A PNG, at most 768 pixels wide and high.",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        },
        **documented(304, 404, 409),
    },
)
def read_preview(
    film_id: RowId, request: Request, context: ContextDep, who: Reader, known: IfNoneMatch = None
) -> Response:
    """Return a film as a small picture, as a radiologist sees it."""
    with context.database.read() as session:
        film = session.get(Instance, film_id)
        if film is None:
            raise HTTPException(404, f"There is no film {film_id}.")
        study = session.get_one(Study, film.study_id)
    viewed(context, who, [study])
    tag = f'"{film.file_sha256[:32]}-p{FORM}"'
    if fits(request.headers.get("If-None-Match"), tag, weakly=True):
        return Response(None, 304, {"ETag": tag})
    try:
        png = context.pictures.preview(StoredFilm(film.id, film.path, film.file_sha256))
    except CannotBeShownError as error:
        raise HTTPException(409, str(error)) from None
    return Response(png, 200, {"ETag": tag}, media_type="image/png")


@router.get("/results/{result_id}/file", response_class=Response, responses=_ANSWERS)
def read_result(result_id: RowId, context: ContextDep, who: Reader) -> Response:
    """Return an object of a report as the file that is sent to destinations."""
    with context.database.read() as session:
        result = session.get(Result, result_id)
        if result is None:
            raise HTTPException(404, f"There is no result {result_id}.")
        study = _study_of(session, result)
    return _sent(context, who, study, result, f"{result.kind}-{result_id}.dcm")


def _study_of(session: Session, result: Result) -> Study:
    return session.get_one(Study, session.get_one(Report, result.report_id).study_id)


def _sent(context: Context, who: Who, study: Study, row: Instance | Result, name: str) -> Response:
    with ExitStack() as near:
        try:
            path = near.enter_context(context.files.near(row.path, row.file_sha256))
        except FileNotFoundError:
            raise HTTPException(404, _LOST) from None
        except AwayError as error:
            raise HTTPException(503, f"Its file cannot be had now: {error}.") from None
        if not path.is_file():
            raise HTTPException(404, _LOST)
        taken(context, who, study, [Instances(row.sop_class_uid, 1)])
        sent = BackgroundTask(near.pop_all().close)
    tag = {"ETag": f'"{row.file_sha256[:32]}"'}
    return FileResponse(path, headers=tag, media_type=_DICOM, filename=name, background=sent)
