"""The REST API below /api/v1: one module a noun, each with a `router` that is named here."""

from __future__ import annotations

from fastapi import APIRouter

from console.api import (
    actions,
    bundles,
    configuration,
    exports,
    files,
    network,
    openapi,
    oversight,
    service,
    statistics,
    studies,
    tokens,
    users,
    verdicts,
)

ROUTERS: tuple[APIRouter, ...] = (
    openapi.router,
    service.router,
    studies.router,
    files.router,
    actions.router,
    verdicts.router,
    exports.router,
    statistics.router,
    network.router,
    configuration.router,
    bundles.router,
    users.router,
    tokens.router,
    oversight.router,
)
