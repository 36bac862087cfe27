"""What is answered to requests that are too long: they are refused before any route is asked."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.api.problem import PREFIX, problem

_STATUS = 413


class ProblemWhereTooLong:
    """Middleware that tells of it as the API tells of all errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        refused = False

        async def told(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] == _STATUS:
                refused = True
                answer = problem(_STATUS, "The request is too long.", {"Connection": "close"})
                await answer(scope, receive, send)
            if not refused:
                await send(message)

        await self._app(scope, receive, told)
