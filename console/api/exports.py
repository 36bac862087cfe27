"""What leaves as a file: the worklist as CSV or JSON, films with verdicts as a training set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from console.api.routes import router_of
from console.api.studies import filter_of
from console.context import Context, ContextDep
from console.security.access import Admin, Reader
from console.security.who import Who
from console.services import exports
from console.shapes.listing import StudiesAsked
from console.shapes.verdicts import ExportAsked
from db.worklist import Order

router: APIRouter = router_of("exports")

_CSV_EXAMPLE = "\ufeffid,received,patient_id,...\r\n12,2024-03-01T12:00:00+00:00,P-0001,...\r\n"
_JSON_EXAMPLE = [{"id": 12, "finding": "opacity", "deliveries": {"pacs": "delivered"}}]


def _file(
    description: str, media_type: str, schema: dict[str, Any], example: object
) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": schema, "example": example}}
    return {200: {"description": description, "content": content}}


@router.get(
    "/exports/worklist.csv",
    response_class=Response,
    responses=_file("Text in UTF-8 (RFC 4180).", "text/csv", {"type": "string"}, _CSV_EXAMPLE),
)
def export_csv(
    asked: Annotated[StudiesAsked, Query()], context: ContextDep, who: Reader
) -> Response:
    """Give everything of the worklist that fits as CSV, however much. It is sent as it is read.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    parts = _studies(context, who, asked, exports.CSV)
    return StreamingResponse(parts, media_type="text/csv", headers=_named("worklist.csv"))


@router.get(
    "/exports/worklist.json",
    response_class=Response,
    responses=_file(
        "One array.",
        "application/json",
        {"type": "array", "items": {"type": "object"}},
        _JSON_EXAMPLE,
    ),
)
def export_json(
    asked: Annotated[StudiesAsked, Query()], context: ContextDep, who: Reader
) -> Response:
    """Give everything of the worklist that fits as one JSON array, however much."""
    parts = _studies(context, who, asked, exports.JSON)
    return StreamingResponse(parts, media_type="application/json", headers=_named("worklist.json"))


@router.get(
    "/exports/verdicts.zip",
    response_class=Response,
    responses=_file(
        "A ZIP in the layout of the RSNA challenge, without anything that names a patient.",
        "application/zip",
        {"type": "string", "format": "binary"},
        "(a ZIP)",
    ),
)
def export_verdicts(
    asked: Annotated[ExportAsked, Query()], context: ContextDep, who: Admin
) -> Response:
    """Give the films that verdicts of a period speak of as a training set.

    It is made while it is sent: one that broke off has no end, and opens nowhere.
    """
    parts = exports.training_set_zip(context, who, since=asked.since, until=asked.until)
    headers = _named("hilum-verdicts.zip")
    return StreamingResponse(parts, media_type="application/zip", headers=headers)


def _studies(context: Context, who: Who, asked: StudiesAsked, form: exports.Form) -> Iterator[str]:
    told = asked.model_dump(mode="json", exclude_defaults=True)
    told = {key: str(value) for key, value in told.items()}
    return exports.studies(
        context, who, filter_of(asked), Order(asked.order), told, form, what="studies"
    )


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
