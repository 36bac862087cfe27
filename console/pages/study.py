"""The page of a study: films, what was said of them, and everything that happened."""

from __future__ import annotations

import uuid

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.context import Context, ContextDep
from console.pages.render import render
from console.pages.study_done import DONE
from console.pages.study_told import FINDINGS, STATES, told
from console.pictures.document import Document, document
from console.pictures.shown import CannotBeShownError
from console.security.access import Reader
from console.security.audited import viewed
from db.models import Report, Result, Study
from db.states import StudyState, UserRole
from db.verdicts import LONGEST_COMMENT

router = APIRouter(include_in_schema=False)


@router.get("/studies/{study_id}")
def study(
    study_id: int,
    request: Request,
    context: ContextDep,
    who: Reader,
    done: str = "",
    count: int = 0,
) -> Response:
    """Show a study."""
    with context.database.read() as session:
        found = told(session, study_id)
        now = context.database.now(session)
    if found is None:
        raise HTTPException(404, "There is no such study (any more).")
    viewed(context, who, [found.study])
    read_by, problem = _document_of(context, found.report)
    return render(
        request,
        "study.html",
        who=who,
        now=now,
        told=found,
        study=found.study,
        findings=FINDINGS,
        states=STATES,
        document=read_by,
        problem=problem,
        said=DONE[done].told(count) if done in DONE else None,
        may_operate=who.role.may(UserRole.OPERATOR),
        bundles=context.pictures.labels() if who.role.may(UserRole.OPERATOR) else [],
        is_open=found.study.state is StudyState.OPEN,
        longest_comment=LONGEST_COMMENT,
        key=str(uuid.uuid4()),
    )


@router.get("/results/{result_id}/report")
def report(result_id: int, request: Request, context: ContextDep, who: Reader) -> Response:
    """Show one kept report as people read it."""
    with context.database.read() as session:
        result = session.get(Result, result_id)
        if result is None or result.kind != "sr":
            raise HTTPException(404, "There is no such report (any more).")
        found = session.get_one(Report, result.report_id)
        study = session.get_one(Study, found.study_id)
    viewed(context, who, [study])
    shown, problem = _read(context, result)
    return render(
        request,
        "study_report.html",
        who=who,
        status=422 if problem else 200,
        study_id=study.id,
        revision=found.revision,
        document=shown,
        problem=problem,
    )


def _document_of(context: Context, report: Report | None) -> tuple[Document | None, str]:
    results = [] if report is None else [each for each in report.results if each.kind == "sr"]
    return _read(context, results[0]) if results else (None, "")


def _read(context: Context, result: Result) -> tuple[Document | None, str]:
    try:
        with context.files.near(result.path, result.file_sha256) as path:
            return document(path), ""
    except CannotBeShownError as error:
        return None, str(error)
    except OSError as error:
        return None, f"The file cannot be had now: {error.strerror}."
