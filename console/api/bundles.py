"""Model bundles: which there are, which reads, and which in shadow."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api.etags import IfMatch, answer, demand
from console.api.idempotency import IdempotencyKey, once_apart
from console.api.problem import documented
from console.api.routes import router_of
from console.bundles import choices
from console.bundles.card import SANDBOXED, card_page, card_source
from console.bundles.register import register
from console.context import Context, ContextDep
from console.security.access import Admin
from console.security.body import ZIP
from console.shapes import administration as shapes
from console.shapes.base import Page

router: APIRouter = router_of("bundles")

BundleId = Annotated[str, Path(max_length=100, pattern=r"^[\w.-]+$", examples=["hilum-default"])]
Version = Annotated[str, Path(max_length=100, pattern=r"^[\w.+-]+$", examples=["1.0.0"])]
_ERRORS = documented(400, 404, 409, 412, 413)


@router.get("/bundles", response_model=Page[shapes.Bundle])
def list_bundles(request: Request, context: ContextDep, who: Admin) -> Response:
    """List all bundles, with what each is chosen for. Its ETag is what `If-Match` takes below."""
    return answer(request, _listed(context))


@router.post(
    "/bundles",
    status_code=201,
    response_model=shapes.Registered,
    responses={
        200: {"model": shapes.Registered, "description": "It was registered already."},
        **documented(409, 413, 415),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {ZIP: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def register_bundle(request: Request, context: ContextDep, who: Admin) -> Response:
    """Register the bundle whose ZIP is the body. The same one again changes nothing."""
    if request.headers.get("Content-Type") != ZIP:
        raise HTTPException(415, f"A bundle is sent as a ZIP: Content-Type: {ZIP}.")
    name, new = await register(context, who, request.stream())
    return answer(request, shapes.Registered(name=name, new=new), status=201 if new else 200)


@router.get(
    "/bundles/{bundle_id}/{version}/card",
    response_class=Response,
    responses={
        200: {
            "description": "Markdown (CommonMark).",
            "content": {
                "text/markdown": {"schema": {"type": "string"}, "example": "# hilum-cxr 1.0.0"}
            },
        },
        **documented(404),
    },
)
def read_card(bundle_id: BundleId, version: Version, context: ContextDep, who: Admin) -> Response:
    """Return a bundle's model card as its maker wrote it."""
    text = card_source(choices.find(context, f"{bundle_id}/{version}"))
    return Response(text, media_type="text/markdown")


@router.get(
    "/bundles/{bundle_id}/{version}/card/page",
    response_class=Response,
    responses={
        200: {
            "description": "A page of its own, with plots. It may do nothing, and loads nothing.",
            "content": {"text/html": {"schema": {"type": "string"}, "example": "<!DOCTYPE html>"}},
        },
        **documented(404),
    },
)
def read_card_page(
    bundle_id: BundleId, version: Version, context: ContextDep, who: Admin
) -> Response:
    """Return a bundle's model card with plots, where it has one."""
    text = card_page(choices.find(context, f"{bundle_id}/{version}"))
    headers = {"Content-Security-Policy": SANDBOXED}
    return Response(text, media_type="text/html", headers=headers)


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
    version = _version(context, if_match)
    new = choices.activate(context, who, body.name, body.reason, version=version)
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
    version = _version(context, if_match)
    new = choices.shadow(context, who, body.name, body.reason, version=version)
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
        version = _version(context, if_match)
        name = choices.roll_back(context, who, body.reason, version=version)
        return shapes.Chosen(changed=True, sentence=f"{name} is active again.")

    return once_apart(context, who, request, key, body, act)


def _version(context: Context, if_match: str | None) -> int | None:
    """Return the version that a choice is decided by, which is held against the latest one in the
    transaction of the choice; None where the caller shows nothing."""
    if if_match is None:
        return None
    version = choices.version(context)
    demand(if_match, _listed(context))
    return version


def _listed(context: Context) -> Page[shapes.Bundle]:
    found = [shapes.Bundle.model_validate(each) for each in choices.listed(context)]
    return Page[shapes.Bundle](items=found, next=None)
