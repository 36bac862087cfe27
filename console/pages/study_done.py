"""What people do with a study: send it again, try it again, have it read again, judge it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from console.context import ContextDep
from console.security.access import Operator, Reader
from console.services import study
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
        now = context.database.now(session)
        count = study.resend(session, who, study_id, everything=True, now=now).count
    study.told(context, who, study_id, f"Sent again: {count} objects.")
    return _back(study_id, "sent", count)


@router.post("/studies/{study_id}/retry")
def retry(study_id: int, context: ContextDep, who: Operator) -> Response:
    """Put back to work what failed or waits."""
    with context.database.write() as session:
        count = study.retry(session, who, study_id, now=context.database.now(session)).count
    study.told(context, who, study_id, f"Tried again: {count} images, reports or deliveries.")
    return _back(study_id, "retried", count)


@router.post("/studies/{study_id}/read")
def read(
    study_id: int, context: ContextDep, who: Operator, bundle: Annotated[str, Form()] = ""
) -> Response:
    """Have the films read again: by the active bundle for a further revision, or by another one.

    What another one says is kept for comparison, and is sent to nobody.
    """
    if bundle:
        beside = study.read_beside(context, who, study_id, bundle)
        return _back(study_id, "beside", beside, "#readings")
    with context.database.write() as session:
        count = study.read_anew(session, who, study_id, now=context.database.now(session)).count
    study.told(context, who, study_id, f"Read again by the active bundle: {count} films.")
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
            study.judge(session, study_id, new, now=context.database.now(session))
    except VerdictError as error:
        raise HTTPException(422, str(error)) from None
    study.told(context, who, study_id, f"Verdict on reading {reading}: {finding}.")
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


def _back(study_id: int, done: str, count: int, where: str = "") -> Response:
    return RedirectResponse(f"/studies/{study_id}?done={done}&count={count}{where}", 303)
