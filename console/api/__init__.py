"""The REST API below /api/v1: one module a noun, each with a `router` that is named here."""

from __future__ import annotations

from fastapi import APIRouter

ROUTERS: tuple[APIRouter, ...] = ()
