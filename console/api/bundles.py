"""Model bundles: which there are, which reads, and which in shadow."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from console.api.etags import IfMatch, answer, demand
from console.api.idempotency import IdempotencyKey, once_apart
from console.api.problem import documented
from console.api.routes import router_of
from console.bundles import choices
from console.context import Context, ContextDep
from console.security.access import Admin
from console.shapes import administration as shapes
from console.shapes.base import Page

router: APIRouter = router_of("bundles")

_ERRORS = documented(400, 404, 409, 412, 413)


@router.get("/bundles", response_model=Page[shapes.Bundle])
def list_bundles(request: Request, context: ContextDep, who: Admin) -> Response:
    """List all bundles, with what each is chosen for. Its ETag is what `If-Match` takes below."""
    return answer(request, _listed(context))


@router.get("/bundles/choices", response_model=Page[shapes.Choice])
def list_choices(request: Request, context: ContextDep, who: Admin) -> Response:
    """List which bundles were chosen, by whom and why, newest first: the last 500."""
    found = [shapes.Choice.model_validate(each) for each in choices.history(context, 500)]
    return answer(request, Page[shapes.Choice](items=found, next=None))


@router.post("/bundles/verify", response_model=shapes.Checked, responses=_ERRORS)
def verify_bundle(
    body: shapes.BundleName, request: Request, context: ContextDep, who: Admin
) -> Response:
    """Hold a bundle against its digests and its golden output; its network is loaded for that."""
    return answer(request, shapes.Checked(sentence=choices.verify(context, body.name)))


@router.put("/bundles/active", response_model=shapes.Chosen, responses=_ERRORS)
def activate_bundle(
    body: shapes.BundleAsked,
    request: Request,
    context: ContextDep,
    who: Admin,
    if_match: IfMatch = None,
) -> Response:
    """Have the readings of a bundle reported, once it has shown that it runs.

    Workers load it beside the one in use, and change over without dropping a film.
    """
    _demand(context, if_match)
    new = choices.activate(context, who, body.name, body.reason)
    said = f"{body.name or choices.CONFIGURED} is active{'' if new else ' already'}."
    return answer(request, shapes.Chosen(changed=new, sentence=said))


@router.put("/bundles/shadow", response_model=shapes.Chosen, responses=_ERRORS)
def shadow_bundle(
    body: shapes.BundleAsked,
    request: Request,
    context: ContextDep,
    who: Admin,
    if_match: IfMatch = None,
) -> Response:
    """Have a bundle read in shadow, or none; nothing of what it says is sent."""
    _demand(context, if_match)
    new = choices.shadow(context, who, body.name, body.reason)
    said = f"{body.name or 'Nothing'} reads in shadow{'' if new else ' already'}."
    return answer(request, shapes.Chosen(changed=new, sentence=said))


@router.post("/bundles/rollback", response_model=shapes.Chosen, responses=_ERRORS)
def roll_back_bundle(
    body: shapes.Why,
    request: Request,
    context: ContextDep,
    who: Admin,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Return to the bundle that was active before; again, to the one before that."""

    def act() -> shapes.Chosen:
        _demand(context, if_match)
        name = choices.roll_back(context, who, body.reason)
        return shapes.Chosen(changed=True, sentence=f"{name} is active again.")

    return once_apart(context, who, request, key, body, act)


def _demand(context: Context, if_match: str | None) -> None:
    if if_match is not None:
        demand(if_match, _listed(context))


def _listed(context: Context) -> Page[shapes.Bundle]:
    found = [shapes.Bundle.model_validate(each) for each in choices.listed(context)]
    return Page[shapes.Bundle](items=found, next=None)
