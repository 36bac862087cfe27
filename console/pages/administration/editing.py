"""Changing peers and destinations: a form for each, made from the model that checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.context import Context, ContextDep
from console.pages.administration import forms
from console.pages.administration.sections import ROOT, back_to, section
from console.security.access import Admin
from console.security.who import Who
from console.services import configuration
from console.services.configuration import Configured
from console.services.errors import InvalidError, MissingError, RefusedError
from console.services.references import VARIABLE_PREFIX, folder_of
from console.services.values import PARTS
from db.states import ConfigurationPart
from settings.destinations import KINDS
from settings.layers import class_of

Name = Annotated[str, Form(max_length=128)]
Reason = Annotated[str, Form(max_length=500)]
Version = Annotated[int, Form(ge=0, le=2**53)]
Asked = Annotated[str, Query(max_length=128)]


async def _sent(request: Request) -> FormData:
    return await request.form()


Sent = Annotated[FormData, Depends(_sent)]


def editing(part: ConfigurationPart) -> APIRouter:
    """Return the routes by which peers, or destinations, are changed."""
    router = APIRouter(include_in_schema=False)
    root = f"{ROOT}/{PARTS[part]}"

    @router.get(f"{root}/edit")
    def form(
        request: Request, context: ContextDep, who: Admin, name: Asked = "", kind: Asked = ""
    ) -> Response:
        """Show the form of one, or of a new one of a kind."""
        if not name:
            return _form(request, context, who, part, None, _kind(part, kind))
        found = _found(context, part, name)
        return _form(request, context, who, part, found, getattr(found.now, "kind", ""))

    @router.post(f"{root}/edit")
    def save(
        request: Request,
        context: ContextDep,
        who: Admin,
        sent: Sent,
        old: Annotated[str, Form(alias="change-old", max_length=128)] = "",
        kind: Annotated[str, Form(alias="change-kind", max_length=16)] = "",
        version: Annotated[int, Form(alias="change-version", ge=0, le=2**53)] = 0,
        reason: Annotated[str, Form(alias="change-reason", max_length=500)] = "",
    ) -> Response:
        """Save it, or show what does not fit. Names with a dash are no keys of an item."""
        found = _found(context, part, old) if old else None
        kind = _kind(part, kind if found is None else getattr(found.now, "kind", ""))
        values = forms.values(_model(part, kind), sent)
        if kind:
            values = {"kind": kind, **values}
        if found is not None and part is ConfigurationPart.DESTINATION:
            values["name"] = found.name
        try:
            configuration.save(
                context, who, part, values, name=old or None, version=version, reason=reason
            )
        except RefusedError as refused:
            return _form(request, context, who, part, found, kind, given=values, refused=refused)
        return back_to(PARTS[part])

    @router.post(f"{root}/remove")
    def remove(
        request: Request,
        context: ContextDep,
        who: Admin,
        name: Name = "",
        version: Version = 0,
        reason: Reason = "",
    ) -> Response:
        """Have it not be there any more."""
        return _after(
            request,
            context,
            who,
            part,
            name,
            lambda: configuration.remove(context, who, part, name, version=version, reason=reason),
        )

    @router.post(f"{root}/reset")
    def reset(
        request: Request,
        context: ContextDep,
        who: Admin,
        name: Name = "",
        version: Version = 0,
        reason: Reason = "",
    ) -> Response:
        """Have it as the file has it."""
        return _after(
            request,
            context,
            who,
            part,
            name,
            lambda: configuration.reset(context, who, part, name, version=version, reason=reason),
        )

    return router


def _after(
    request: Request,
    context: Context,
    who: Who,
    part: ConfigurationPart,
    name: str,
    change: Callable[[], object],
) -> Response:
    """Return to the list after a change, or show the form with why it was not made."""
    try:
        change()
    except MissingError as missing:
        raise HTTPException(404, str(missing)) from None
    except RefusedError as refused:
        found = _found(context, part, name)
        kind = getattr(found.now, "kind", "")
        return _form(request, context, who, part, found, kind, refused=refused)
    return back_to(PARTS[part])


def _form(
    request: Request,
    context: Context,
    who: Who,
    part: ConfigurationPart,
    found: Configured | None,
    kind: str,
    *,
    given: Mapping[str, Any] | None = None,
    refused: RefusedError | None = None,
) -> Response:
    now = None if found is None else found.now
    groups = forms.groups(_model(part, kind), now, given)
    if found is not None and part is ConfigurationPart.DESTINATION:
        groups = [
            forms.Group(each.name, tuple(f for f in each.fields if f.key != "name"))
            for each in groups
        ]
    return section(
        request,
        "edit.html",
        who,
        refused=refused,
        part=part.value,
        root=f"{ROOT}/{PARTS[part]}",
        found=found,
        kind=kind,
        kinds=list(KINDS) if part is ConfigurationPart.DESTINATION else [],
        groups=groups,
        wrong=refused.wrong if isinstance(refused, InvalidError) else {},
        locked=configuration.locked(context, part),
        only_peer=part is ConfigurationPart.PEER and len(context.settings.peers) == 1,
        first_peer=part is ConfigurationPart.PEER and not context.settings.peers,
        secrets=str(folder_of(context.files.root)),
        variables=VARIABLE_PREFIX,
    )


def _found(context: Context, part: ConfigurationPart, name: str) -> Configured:
    try:
        return configuration.find(context, part, name)
    except MissingError as missing:
        raise HTTPException(404, str(missing)) from None


def _kind(part: ConfigurationPart, kind: str) -> str:
    if part is ConfigurationPart.PEER:
        return ""
    return kind if kind in KINDS else next(iter(KINDS))


def _model(part: ConfigurationPart, kind: str) -> Any:
    return class_of(PARTS[part], {"kind": kind} if kind else {})
