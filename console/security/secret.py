"""Secrets that browsers and programs hold: made here, and only their SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets

TOKEN_PREFIX = "hilum_"
"""So that a token that was put into a file by mistake is found by who looks for such."""


def new_secret() -> str:
    """Return 256 random bits as text for a cookie."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """Return a new token of the API."""
    return TOKEN_PREFIX + new_secret()


def digest(secret: str) -> str:
    """Return what is kept of a secret; it is random, so that one SHA-256 is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
