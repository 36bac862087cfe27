"""Tokens of the API: for oneself, or for a program."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.orm import joinedload
from starlette.requests import Request
from starlette.responses import Response

from console.api.etags import answer
from console.api.problem import documented
from console.api.routes import RowId, router_of
from console.context import ContextDep
from console.security.access import Admin
from console.security.scopes import Scope
from console.services import tokens
from console.shapes import administration as shapes
from console.shapes.base import Page
from db.people import ApiToken

router: APIRouter = router_of("tokens")


@router.get("/tokens", response_model=Page[shapes.Token])
def list_tokens(request: Request, context: ContextDep, who: Admin) -> Response:
    """List all tokens, newest first; revoked ones too."""
    found = [_told(each) for each in tokens.listed(context)]
    return answer(request, Page[shapes.Token](items=found, next=None))


@router.post(
    "/tokens",
    status_code=201,
    response_model=shapes.MadeToken,
    responses=documented(400, 404, 409, 413),
)
def make_token(
    body: shapes.NewToken, request: Request, context: ContextDep, who: Admin
) -> Response:
    """Make a token for oneself or for a program. Its secret is told this once."""
    made = tokens.make(
        context,
        who,
        user_id=who.user_id if body.user_id is None else body.user_id,
        name=body.name,
        scopes={Scope(each) for each in body.scopes},
        days=body.days,
    )
    with context.database.read() as session:
        found = session.get_one(ApiToken, made.id, options=[joinedload(ApiToken.user)])
        told = _told(found)
    headers = {"Location": f"/api/v1/tokens/{made.id}"}
    return answer(
        request, shapes.MadeToken(token=told, secret=made.secret), status=201, headers=headers
    )


@router.delete(
    "/tokens/{token_id}", status_code=204, response_class=Response, responses=documented(404)
)
def revoke_token(token_id: RowId, context: ContextDep, who: Admin) -> Response:
    """Make a token useless, at once and for good; it stays in the list."""
    tokens.revoke(context, who, token_id)
    return Response(None, 204)


def _told(token: ApiToken) -> shapes.Token:
    known = [each.value for each in Scope]
    return shapes.Token.model_validate(
        {
            "id": token.id,
            "user_id": token.user_id,
            "user": token.user.name,
            "name": token.name,
            "scopes": [each for each in token.scopes if each in known],
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "last_used_at": token.last_used_at,
            "revoked_at": token.revoked_at,
        }
    )
