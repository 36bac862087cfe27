"""How long the body of a request may be, which is read before it is known who sends it."""

from __future__ import annotations

from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import Receive, Scope, Send

LONGEST_BYTES = 262_144
"""None of ours is that long, but for a bundle."""
ZIP = "application/zip"
_BUNDLES = {("PUT", "/administration/bundles"), ("POST", "/api/v1/bundles")}


class LimitedBody(RequestBodyLimitMiddleware):
    """Refuses longer ones, but for a bundle's ZIP.

    Nothing of that is read before its handler does, which is when an administrator has asked for
    it; it has a limit of its own there. (A form would be read earlier, for what it shows against
    forgery.)
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if _is_bundle(scope):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _is_bundle(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and (scope["method"], scope["path"]) in _BUNDLES
        and dict(scope["headers"]).get(b"content-type") == ZIP.encode()
    )
