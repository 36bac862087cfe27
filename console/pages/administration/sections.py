"""What the pages of administration have in common: the list of them, and how they are drawn."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.pages.navigation import Entry
from console.pages.render import render
from console.security.who import Who
from console.services.errors import RefusedError
from db.states import UserRole

ROOT = "/administration"
SECTIONS = tuple(
    Entry(title, f"{ROOT}/{path}", UserRole.ADMIN)
    for title, path in (
        ("Destinations", "destinations"),
        ("Peers", "peers"),
        ("Changes", "changes"),
        ("Bundles", "bundles"),
        ("Users", "users"),
        ("API tokens", "tokens"),
        ("Audit trail", "audit"),
        ("Retention", "retention"),
        ("Settings", "settings"),
    )
)


def section(
    request: Request,
    template: str,
    who: Who,
    *,
    refused: RefusedError | None = None,
    **values: Any,
) -> Response:
    """Return a page of administration; `refused`: why what was asked for was not done."""
    return render(
        request,
        f"administration/{template}",
        who=who,
        status=200 if refused is None else refused.status,
        sections=SECTIONS,
        sentence="" if refused is None else str(refused),
        **values,
    )


def back_to(path: str) -> Response:
    """Return to a page of administration after a change."""
    return RedirectResponse(f"{ROOT}/{path}", 303)
