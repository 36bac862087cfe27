"""How long a request to the API may be. It is read before it is known who sends it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.api.problem import PREFIX, problem

LONGEST_BYTES = 262_144


class LimitedBody:
    """Middleware that refuses longer ones: at once where they say so, else when they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said) > LONGEST_BYTES:
            await _refuse(scope, receive, send)
            return
        read, refused = 0, False

        async def counted() -> Message:
            nonlocal read, refused
            message = await receive()
            read += len(message.get("body", b""))
            if read > LONGEST_BYTES:
                refused = True
                return {"type": "http.disconnect"}
            return message

        async def unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        try:
            await self._app(scope, counted, unless_refused)
        except Exception:
            if not refused:
                raise
        if refused:
            await _refuse(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    sentence = f"A request may hold {LONGEST_BYTES} bytes."
    await problem(413, sentence, {"Connection": "close"})(scope, receive, send)
