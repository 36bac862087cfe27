"""What people do with a study: send it again, try it again, have it read again, judge it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from console.context import Context, ContextDep
from console.security.access import Operator, Reader
from console.security.who import Who
from console.services import study
from db import answered
from db.verdicts import NewVerdict, VerdictError

router = APIRouter(include_in_schema=False)


Key = Annotated[str, Form(max_length=64)]
"""What the page has made up for its buttons."""


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
def resend(study_id: int, context: ContextDep, who: Operator, key: Key = "") -> Response:
    """Send everything of the latest report again."""

    def act(session: Session) -> int:
        now = context.database.now(session)
        return study.resend(session, who, study_id, everything=True, now=now).count

    count = _once(context, who, study_id, key, "resend", act, "Sent again: {} objects.")
    return _back(study_id, "sent", count)


@router.post("/studies/{study_id}/retry")
def retry(study_id: int, context: ContextDep, who: Operator, key: Key = "") -> Response:
    """Put back to work what failed or waits."""

    def act(session: Session) -> int:
        return study.retry(session, who, study_id, now=context.database.now(session)).count

    told = "Tried again: {} images, reports or deliveries."
    return _back(study_id, "retried", _once(context, who, study_id, key, "retry", act, told))


@router.post("/studies/{study_id}/read")
def read(
    study_id: int,
    context: ContextDep,
    who: Operator,
    bundle: Annotated[str, Form()] = "",
    key: Key = "",
) -> Response:
    """Have the films read again: by the active bundle for a further revision, or by another one.

    What another one says is kept for comparison, and is sent to nobody.
    """
    if bundle:
        beside = _beside_once(context, who, study_id, key, bundle)
        return _back(study_id, "beside", beside, "#readings")

    def act(session: Session) -> int:
        return study.read_anew(session, who, study_id, now=context.database.now(session)).count

    told = "Read again by the active bundle: {} films."
    return _back(study_id, "read", _once(context, who, study_id, key, "read", act, told))


@router.post("/studies/{study_id}/verdict")
def verdict(
    study_id: int,
    context: ContextDep,
    who: Reader,
    reading: Annotated[int, Form()],
    finding: Annotated[str, Form()],
    boxes: Annotated[str, Form()] = "",
    comment: Annotated[str, Form()] = "",
    key: Key = "",
) -> Response:
    """Keep what a reader says of a reading."""
    try:
        new = NewVerdict(reading, finding, boxes_of(boxes), comment, who.name)

        def act(session: Session) -> int:
            study.judge(session, study_id, new, now=context.database.now(session))
            return 1

        told = f"Verdict on reading {reading}: {new.finding}."
        _once(context, who, study_id, key, f"verdict {_digest(new)}", act, told)
    except VerdictError as error:
        raise HTTPException(422, str(error)) from None
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


def _once(
    context: Context,
    who: Who,
    study_id: int,
    key: str,
    what: str,
    act: Callable[[Session], int],
    told: str,
) -> int:
    """Do something to so many, once for the page that its button was on; return how many.

    A button that is pressed twice is answered twice, and nothing is done a second time. `told` is
    what the audit trail keeps of it, with the number in the place of `{}`.
    """
    key = key and f"{key} {what} {study_id}"
    with context.database.write() as session:
        if key:
            now = context.database.now(session)
            before = answered.begin(session, who.user_id, key, "", now=now)
            if before is not None:
                return int(before.body)
        count = act(session)
        if key:
            answered.finish(session, who.user_id, key, 303, str(count))
    study.told(context, who, study_id, told.replace("{}", str(count)))
    return count


def _beside_once(context: Context, who: Who, study_id: int, key: str, bundle: str) -> int:
    """Like `_once`, for reading with another bundle, which has transactions of its own.

    Raises:
        HTTPException: 409, it is being done.
    """
    if not key:
        return study.read_beside(context, who, study_id, bundle)
    key = f"{key} beside {_digest(bundle)} {study_id}"
    with context.database.write() as session:
        now = context.database.now(session)
        before = answered.begin(session, who.user_id, key, "", now=now)
    if before is not None:
        if before.status == answered.BEGUN:
            raise HTTPException(409, "The films are being read already; look again in a moment.")
        return int(before.body)
    try:
        count = study.read_beside(context, who, study_id, bundle)
    except Exception:
        with context.database.write() as session:
            answered.drop(session, who.user_id, key)
        raise
    with context.database.write() as session:
        answered.finish(session, who.user_id, key, 303, str(count))
    return count


def _digest(said: object) -> str:
    """Return what tells one thing that is said from another: only the same is done once."""
    return hashlib.sha256(repr(said).encode("utf-8", "surrogatepass")).hexdigest()


def _back(study_id: int, done: str, count: int, where: str = "") -> Response:
    return RedirectResponse(f"/studies/{study_id}?done={done}&count={count}{where}", 303)
