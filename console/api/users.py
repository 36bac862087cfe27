"""Users: who may log in or call, and what each may do."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api.etags import IfMatch, IfNoneMatch, answer, demand
from console.api.problem import documented
from console.api.routes import RowId, router_of
from console.context import Context, ContextDep
from console.security.access import Admin
from console.services import users
from console.shapes import administration as shapes
from console.shapes.base import Page
from db import people

router: APIRouter = router_of("users")

_ERRORS = documented(400, 404, 409, 412, 413)


@router.get("/users", response_model=Page[shapes.User])
def list_users(request: Request, context: ContextDep, who: Admin) -> Response:
    """List all users by name."""
    found = [_told(each) for each in users.users(context)]
    return answer(request, Page[shapes.User](items=found, next=None))


@router.post(
    "/users", status_code=201, response_model=shapes.MadeUser, responses=documented(400, 409, 413)
)
def add_user(body: shapes.NewUser, request: Request, context: ContextDep, who: Admin) -> Response:
    """Add a user, with a first password that is told this once, or a program without one.

    A name is given once: the same request again is answered 409.
    """
    user_id, password = users.add(context, who, body.name, body.role, program=body.program)
    made = shapes.MadeUser(user=_find(context, user_id), first_password=password)
    return answer(request, made, status=201, headers={"Location": f"/api/v1/users/{user_id}"})


@router.get("/users/{user_id}", response_model=shapes.User, responses=documented(304, 404))
def read_user(
    user_id: RowId,
    request: Request,
    context: ContextDep,
    who: Admin,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Tell of a user."""
    return answer(request, _find(context, user_id))


@router.patch("/users/{user_id}", response_model=shapes.User, responses=_ERRORS)
def change_user(
    user_id: RowId,
    body: shapes.UserChange,
    request: Request,
    context: ContextDep,
    who: Admin,
    if_match: IfMatch = None,
) -> Response:
    """Give a user another role, or let them log in no more, or again."""
    users.change(
        context, who, user_id, role=body.role, disabled=body.disabled, known=_as_known(if_match)
    )
    return answer(request, _find(context, user_id))


@router.post(
    "/users/{user_id}/password",
    response_model=shapes.FirstPassword,
    responses=documented(404, 409, 412),
)
def reset_password(
    user_id: RowId, request: Request, context: ContextDep, who: Admin, if_match: IfMatch = None
) -> Response:
    """Give a user a new first password, and end all sessions."""
    password = users.reset_password(context, who, user_id, known=_as_known(if_match))
    return answer(request, shapes.FirstPassword(first_password=password))


@router.delete(
    "/users/{user_id}",
    status_code=204,
    response_class=Response,
    responses=documented(404, 409, 412),
)
def remove_user(
    user_id: RowId, context: ContextDep, who: Admin, if_match: IfMatch = None
) -> Response:
    """Remove a user, with sessions and tokens."""
    users.remove(context, who, user_id, known=_as_known(if_match))
    return Response(None, 204)


def _as_known(if_match: str | None) -> Callable[[people.User], None]:
    """Return what holds a user, in the transaction of a change, against what the caller knows."""
    return lambda user: demand(if_match, _told(user))


def _find(context: Context, user_id: int) -> shapes.User:
    with context.database.read() as session:
        found = session.get(people.User, user_id)
    if found is None:
        raise HTTPException(404, f"There is no user {user_id}.")
    return _told(found)


def _told(user: people.User) -> shapes.User:
    return shapes.User(
        id=user.id,
        name=user.name,
        role=user.role,
        program=user.password_hash is None and user.identity is None,
        must_change=user.must_change,
        created_at=user.created_at,
        last_login_at=user.last_login_at,
        disabled_at=user.disabled_at,
    )
