"""Forged requests: whatever changes something shows what only our own pages know.

That is a digest of the cookie's secret: another site can have the cookie sent, and not read it.
"""

from __future__ import annotations

import hashlib
import hmac

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request

from console.security import cookies

FIELD = "csrf"
HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def expected(connection: HTTPConnection) -> str | None:
    """Return what requests of this browser are to show; None where it has no cookie of ours."""
    secret = cookies.session_secret(connection) or cookies.form_secret(connection)
    return None if secret is None else shown_for(secret)


def shown_for(secret: str) -> str:
    """Return what the pages show of a cookie's secret."""
    return hmac.new(secret.encode("utf-8", "surrogatepass"), b"csrf", hashlib.sha256).hexdigest()


async def given(request: Request) -> str:
    """Return what a request shows, by header or by the form's hidden field; "" where nothing."""
    header = request.headers.get(HEADER)
    if header is not None or request.method in _SAFE:
        return header or ""
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() not in _FORMS:
        return ""
    value = (await request.form()).get(FIELD, "")
    return value if isinstance(value, str) else ""


def check(request: Request, shown: str) -> None:
    """Make sure that a request that changes something comes from a page of ours.

    Raises:
        HTTPException: 403, it does not show what that page would.
    """
    if request.method in _SAFE:
        return
    wanted = expected(request)
    if wanted is None or not hmac.compare_digest(wanted, shown.encode().decode("ascii", "replace")):
        raise HTTPException(403, "This form is out of date. Load the page anew, and try again.")
