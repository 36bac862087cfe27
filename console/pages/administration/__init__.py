"""Administration: one module a noun. Every change needs an administrator, and is audited."""

from __future__ import annotations

from fastapi import APIRouter

from console.pages.administration import (
    audit_trail,
    bundles,
    changes,
    destinations,
    peers,
    retention,
    settings,
    tokens,
    users,
)

_NOUNS = (
    destinations,
    peers,
    changes,
    bundles,
    users,
    tokens,
    audit_trail,
    retention,
    settings,
)
ROUTERS: tuple[APIRouter, ...] = tuple(each.router for each in _NOUNS)
