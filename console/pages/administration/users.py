"""Users: who may log in, as what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from console.context import Context, ContextDep
from console.pages.administration.sections import ROOT, back_to, section
from console.security.access import Admin
from console.security.who import Who
from console.services import users
from console.services.errors import RefusedError
from db.states import UserRole

router = APIRouter(include_in_schema=False)

UserId = Annotated[int, Form(ge=1, le=2**53)]
Name = Annotated[str, Form(max_length=256)]


@router.get(f"{ROOT}/users")
def show(request: Request, context: ContextDep, who: Admin) -> Response:
    """List the users."""
    return _page(request, context, who)


@router.post(f"{ROOT}/users/add")
def add(
    request: Request,
    context: ContextDep,
    who: Admin,
    role: Annotated[UserRole, Form()],
    name: Name = "",
    program: Annotated[bool, Form()] = False,
) -> Response:
    """Add one, and show the first password once."""
    try:
        user_id, password = users.add(context, who, name, role, program=program)
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    if password is None:
        return back_to("users")
    return _page(request, context, who, secret=(user_id, password))


@router.post(f"{ROOT}/users/role")
def set_role(
    request: Request,
    context: ContextDep,
    who: Admin,
    user: UserId,
    role: Annotated[UserRole, Form()],
) -> Response:
    """Give one another role."""
    return _after(request, context, who, lambda: users.change(context, who, user, role=role))


@router.post(f"{ROOT}/users/password")
def reset_password(request: Request, context: ContextDep, who: Admin, user: UserId) -> Response:
    """Give one a new first password, and show it once."""
    try:
        password = users.reset_password(context, who, user)
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return _page(request, context, who, secret=(user, password))


@router.post(f"{ROOT}/users/disable")
def disable(request: Request, context: ContextDep, who: Admin, user: UserId) -> Response:
    """Let one not log in any more."""
    return _after(request, context, who, lambda: users.change(context, who, user, disabled=True))


@router.post(f"{ROOT}/users/enable")
def enable(request: Request, context: ContextDep, who: Admin, user: UserId) -> Response:
    """Let one log in again."""
    return _after(request, context, who, lambda: users.change(context, who, user, disabled=False))


@router.post(f"{ROOT}/users/remove")
def remove(request: Request, context: ContextDep, who: Admin, user: UserId) -> Response:
    """Remove one."""
    return _after(request, context, who, lambda: users.remove(context, who, user))


def _after(request: Request, context: Context, who: Who, change: Callable[[], None]) -> Response:
    """Return to the list after a change, or say why it was not made."""
    try:
        change()
    except RefusedError as refused:
        return _page(request, context, who, refused=refused)
    return back_to("users")


def _page(
    request: Request,
    context: Context,
    who: Who,
    *,
    refused: RefusedError | None = None,
    secret: tuple[int, str] | None = None,
) -> Response:
    found = users.users(context)
    names = {each.id: each.name for each in found}
    return section(
        request,
        "users.html",
        who,
        refused=refused,
        users=found,
        roles=list(UserRole),
        secret=None if secret is None else (names.get(secret[0], ""), secret[1]),
        now=context.now(),
    )
