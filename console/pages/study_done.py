"""What people do with a study: send it again, try it again, have it read again, judge it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from console.context import Context, ContextDep
from console.pictures.shown import CannotBeShownError, StoredFilm
from console.security.access import Operator, Reader
from console.security.audited import acted
from console.security.who import Who
from db import deliveries, shadows, studies, verdicts
from db.models import Instance, Study
from db.states import InstanceState
from db.verdicts import NewVerdict, VerdictError

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Done:
    """What the page says after something was done, to how many, or where there was nothing."""

    some: str
    nothing: str

    def told(self, count: int) -> tuple[str, str]:
        """Return the sentence, and the kind of alert that it is."""
        return (self.some.format(count), "good") if count > 0 else (self.nothing, "note")


DONE = {
    "sent": Done(
        "Sent again: {} objects wait for their destinations.", "There is nothing to send."
    ),
    "retried": Done(
        "Put back to work: {} images, reports or deliveries.",
        "Nothing of this study has failed or waits.",
    ),
    "read": Done(
        "{} films are read again; what comes of it will be sent as a further revision.",
        "The study is still being worked on: nothing was begun anew.",
    ),
    "beside": Done(
        "{} films were read for comparison. Nothing of it was sent.",
        "No film of this study could be read for comparison.",
    ),
    "verdict": Done("Your verdict is kept. It changes nothing that was sent.", ""),
}


@router.post("/studies/{study_id}/resend")
def resend(study_id: int, context: ContextDep, who: Operator) -> Response:
    """Send everything of the latest report again."""
    with context.database.write() as session:
        _find(session, study_id)
        count = deliveries.resend(
            session,
            study_id,
            everything=True,
            now=context.database.now(session),
            reason=f"sent again by {who.name}",
        )
    acted(context, who, f"Sent again: {count} objects.", f"study {study_id}")
    return _back(study_id, "sent", count)


@router.post("/studies/{study_id}/retry")
def retry(study_id: int, context: ContextDep, who: Operator) -> Response:
    """Put back to work what failed or waits."""
    reason = f"retried by {who.name}"
    with context.database.write() as session:
        _find(session, study_id)
        now = context.database.now(session)
        count = studies.retry(session, study_id, now=now, reason=reason)
        count += deliveries.resend(session, study_id, everything=False, now=now, reason=reason)
    acted(context, who, f"Tried again: {count} images, reports or deliveries.", f"study {study_id}")
    return _back(study_id, "retried", count)


@router.post("/studies/{study_id}/read")
def read(
    study_id: int, context: ContextDep, who: Operator, bundle: Annotated[str, Form()] = ""
) -> Response:
    """Have the films read again: by the active bundle for a further revision, or by another one.

    What another one says is kept for comparison, and is sent to nobody.
    """
    if bundle:
        return _read_beside(context, who, study_id, bundle)
    with context.database.write() as session:
        _find(session, study_id)
        now = context.database.now(session)
        count = studies.read_anew(session, study_id, reason=f"read again by {who.name}", now=now)
    acted(context, who, f"Read again by the active bundle: {count} films.", f"study {study_id}")
    return _back(study_id, "read", count)


@router.post("/studies/{study_id}/verdict")
def verdict(
    study_id: int,
    context: ContextDep,
    who: Reader,
    reading: Annotated[int, Form()],
    finding: Annotated[str, Form()],
    boxes: Annotated[str, Form()] = "",
    comment: Annotated[str, Form()] = "",
) -> Response:
    """Keep what a reader says of a reading."""
    try:
        new = NewVerdict(reading, finding, boxes_of(boxes), comment, who.name)
        with context.database.write() as session:
            _find(session, study_id)
            verdicts.add(session, new, study_id=study_id, now=context.database.now(session))
    except VerdictError as error:
        raise HTTPException(422, str(error)) from None
    acted(context, who, f"Verdict on reading {reading}: {finding}.", f"study {study_id}")
    return _back(study_id, "verdict", 1, "#verdict")


def boxes_of(text: str) -> tuple[tuple[float, float, float, float], ...] | None:
    """Read the boxes that the form holds as JSON; None where none were drawn.

    Raises:
        VerdictError: it is no list of boxes.
    """
    if not text.strip():
        return None
    try:
        x, y, width, height = "x", "y", "width", "height"
        return tuple(
            (float(box[x]), float(box[y]), float(box[width]), float(box[height]))
            for box in json.loads(text)
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        raise VerdictError("The boxes are not understood; draw them anew.") from None


def _read_beside(context: Context, who: Who, study_id: int, bundle: str) -> Response:
    with context.database.read() as session:
        _find(session, study_id)
        films = list(
            session.scalars(
                select(Instance)
                .where(
                    Instance.study_id == study_id,
                    Instance.current,
                    Instance.state == InstanceState.READ,
                )
                .order_by(Instance.id)
            )
        )
    try:
        read = [(film.id, context.pictures.read_beside(_stored(film), bundle)) for film in films]
    except CannotBeShownError as error:
        raise HTTPException(422, str(error)) from None
    with context.database.write() as session:
        now = context.database.now(session)
        for film_id, row in read:
            shadows.record_asked(session, film_id, row, by=who.name, now=now)
    acted(context, who, f"Read for comparison by {bundle}: {len(read)} films.", f"study {study_id}")
    return _back(study_id, "beside", len(read), "#readings")


def _stored(film: Instance) -> StoredFilm:
    return StoredFilm(film.id, film.path, film.file_sha256)


def _find(session: Session, study_id: int) -> None:
    if session.get(Study, study_id) is None:
        raise HTTPException(404, "There is no such study (any more).")


def _back(study_id: int, done: str, count: int, where: str = "") -> Response:
    return RedirectResponse(f"/studies/{study_id}?done={done}&count={count}{where}", 303)
