"""Changing one's password; who has a first one must, before anything else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.context import ContextDep
from console.pages.render import render
from console.security import audited
from console.security.access import Reader
from console.security.passwords import objection
from console.security.who import Who
from db import accounts
from db.people import User

router = APIRouter(include_in_schema=False)


@router.get("/password")
def password_form(request: Request, who: Reader) -> Response:
    """Show the form."""
    return _form(request, who, "", 200)


@router.post("/password")
def change_password(
    request: Request,
    context: ContextDep,
    who: Reader,
    present: Annotated[str, Form(max_length=1024)] = "",
    new: Annotated[str, Form(max_length=1024)] = "",
    again: Annotated[str, Form(max_length=1024)] = "",
) -> Response:
    """Change it, and log out every other session of this user."""
    with context.database.read() as session:
        user = session.get_one(User, who.user_id)
    if not context.passwords.fits(user.password_hash, present):
        audited.login_failed(context, who.name, who.address, "wrong password, to change it")
        return _form(request, who, "The present password is wrong.", 400)
    wrong = objection(new, who.name)
    if wrong is None and new == present:
        wrong = "The new password is the present one."
    if wrong is None and new != again:
        wrong = "The two new passwords differ."
    if wrong is not None:
        return _form(request, who, wrong, 400)
    kept = context.passwords.hash(new)
    with context.database.write() as session:
        user = session.get_one(User, who.user_id)
        now = context.database.now(session)
        accounts.set_password(session, user, kept, now=now, keep=who.session_id)
    audited.security_changed(context, who, "The password was changed.", resource=who.name)
    return RedirectResponse("/", 303)


def _form(request: Request, who: Who, sentence: str, status: int) -> Response:
    return render(request, "password.html", who=who, status=status, sentence=sentence)
