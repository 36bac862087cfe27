"""The pages: one module each, with a `router` that is named here, and a place in the navigation."""

from __future__ import annotations

from fastapi import APIRouter

from console.pages import (
    administration,
    api_page,
    films,
    health,
    login,
    login_oidc,
    monitoring,
    password,
    study,
    study_done,
    verdicts,
    worklist,
)

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    login.router,
    login_oidc.router,
    password.router,
    worklist.router,
    monitoring.router,
    study.router,
    study_done.router,
    films.router,
    verdicts.router,
    api_page.router,
    *administration.ROUTERS,
)
