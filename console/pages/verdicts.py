"""What readers say of the readings: how far they agree, and the films that they have labelled."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO, Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from audit.pseudonym import pseudonym
from audit.trail import folder_of
from console.context import ContextDep
from console.pages.render import render
from console.pictures import training_set
from console.security.access import Admin, Reader
from console.security.audited import acted
from db import verdicts
from db.verdicts import GroupedBy

router = APIRouter(include_in_schema=False)

_PIECE = 2**20


@router.get("/verdicts")
def show(
    request: Request,
    context: ContextDep,
    who: Reader,
    by: Annotated[GroupedBy, Query()] = "bundle",
) -> Response:
    """Show how readings agree with verdicts."""
    with context.database.read() as session:
        groups = verdicts.agreement(session, by=by)
    return render(request, "verdicts.html", who=who, groups=groups, by=by)


@router.post("/verdicts/export")
def export(context: ContextDep, who: Admin) -> Response:
    """Send the films that verdicts speak of as a training set, in a ZIP.

    It is written below the data folder, to a file without a name that is gone with this answer.
    """
    folder = folder_of(context.settings)
    file = tempfile.TemporaryFile(dir=context.files.root)  # noqa: SIM115 - closed when sent
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with context.database.read() as session:
            films = list(verdicts.labelled(session))
        written = training_set.write(
            films,
            context.files,
            lambda text: pseudonym(folder, text),
            context.pictures.pool,
            archive.writestr,
        )
        archive.writestr("README.txt", f"{written.sentence}\n")
    acted(context, who, f"Films with verdicts were exported: {written.sentence}", "verdicts")
    headers = {"Content-Disposition": 'attachment; filename="hilum-verdicts.zip"'}
    return StreamingResponse(_pieces(file), media_type="application/zip", headers=headers)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece
