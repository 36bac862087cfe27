"""What is served by HTTP: POST /dicomweb/studies[/{study}], and GET /health."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from db.files import FileStore
from db.session import Database
from scp_service.audited import Refusals
from scp_service.dicomweb import stow
from scp_service.dicomweb.files import FILE_HEAD_BYTES, Kept, keep_parts
from scp_service.dicomweb.multipart import (
    MultipartError,
    PartReader,
    SingleFile,
    TooManyPartsError,
)
from scp_service.dicomweb.spool import Spool
from scp_service.header import is_uid
from scp_service.receive import Origin, Receiver
from settings import Dicomweb, Settings
from settings.secrets import SecretError, reveal

_log = logging.getLogger(__name__)

_PIECE_BYTES = 1_048_576
_RETRY_AFTER = {"Retry-After": "30"}


def application(
    settings: Settings, database: Database, store: FileStore, receiver: Receiver
) -> Starlette:
    """Return the web application; films go to `receiver`."""
    studies = _Studies(settings, store, receiver)

    def healthy() -> bool:
        with database.read() as session:
            session.execute(text("SELECT 1"))
        return store.free_bytes() >= settings.listener.min_free_bytes

    async def health(_: Request) -> Response:
        try:
            good = await run_in_threadpool(healthy)
        except (SQLAlchemyError, OSError):
            good = False
        return JSONResponse({"status": "ok" if good else "unavailable"}, 200 if good else 503)

    return Starlette(
        routes=[
            Route("/dicomweb/studies", studies.store, methods=["POST"]),
            Route("/dicomweb/studies/{study}", studies.store, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


class _Studies:
    """The studies resource (PS3.18 10.5), as far as storing goes."""

    def __init__(self, settings: Settings, store: FileStore, receiver: Receiver) -> None:
        self._web = settings.dicomweb
        self._min_free_bytes = settings.listener.min_free_bytes
        self._called = settings.listener.ae_title
        self._store = store
        self._receiver = receiver
        self._refusals = Refusals(receiver.trail)
        self._running = 0

    async def store(self, request: Request) -> Response:
        """Store the films of a request; each is durable before the response says so."""
        _authorize(self._web, request, self._refusals)
        study, boundary = self._checked(request)
        if self._running >= self._web.max_requests:
            raise HTTPException(503, "too many requests at once; come again", _RETRY_AFTER)
        self._running += 1
        try:
            async with asyncio.timeout(self._web.request_timeout_seconds):
                kept = await self._keep_all(request, boundary, study)
        except TimeoutError:
            raise HTTPException(408, "the request did not come whole in time") from None
        finally:
            self._running -= 1
        if not kept:
            raise HTTPException(400, "the body holds no DICOM file")
        status, told = stow.response(kept)
        headers = _RETRY_AFTER if status == stow.NO_ROOM else None
        return JSONResponse(
            told.to_json_dict(), status, headers=headers, media_type=stow.DICOM_JSON
        )

    def _checked(self, request: Request) -> tuple[str | None, str | None]:
        """Return the study that the films must belong to, and the boundary of their parts.

        Raises:
            HTTPException: nothing of the request can be stored.
        """
        study = request.path_params.get("study")
        if study is not None and not is_uid(study):
            raise HTTPException(400, "the study in the URL is no UID")
        if not stow.accepts_json(request.headers.get("accept", "")):
            raise HTTPException(406, f"the response is {stow.DICOM_JSON}, which is not accepted")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "the body is compressed, which is not taken")
        try:
            boundary = stow.boundary_of(request.headers.get("content-type", ""))
        except ValueError as error:
            raise HTTPException(415, str(error)) from None
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._web.max_request_bytes:
            raise _too_large(self._web)
        if self._store.free_bytes() < self._min_free_bytes:
            _log.error("Requests are refused: the data folder is almost full.")
            raise HTTPException(503, "there is no room at the moment", _RETRY_AFTER)
        return study, boundary

    async def _keep_all(
        self, request: Request, boundary: str | None, study: str | None
    ) -> list[Kept]:
        address = request.client.host if request.client else ""
        origin = Origin(self._web.source_ae, self._called, address)

        def keep() -> list[Kept]:
            return keep_parts(reader.take(), origin, self._receiver, study)

        kept: list[Kept] = []
        with closing(self._reader(boundary)) as reader:
            try:
                async with aclosing(self._pieces(request)) as pieces:
                    async for piece in pieces:
                        await run_in_threadpool(reader.feed, piece)
                        kept += await run_in_threadpool(keep)
                reader.finish()
                kept += await run_in_threadpool(keep)
            except MultipartError as error:
                raise HTTPException(400, _so_far(str(error), kept)) from None
            except TooManyPartsError as error:
                raise HTTPException(413, _so_far(str(error), kept)) from None
        return kept

    def _reader(self, boundary: str | None) -> PartReader | SingleFile:
        limit = self._receiver.limits.max_dataset_bytes + FILE_HEAD_BYTES
        if boundary is None:
            return SingleFile(Spool(self._store.root, limit))
        try:
            return PartReader(
                boundary, self._store.root, part_bytes=limit, most_parts=self._web.max_parts
            )
        except MultipartError as error:
            raise HTTPException(400, str(error)) from None

    async def _pieces(self, request: Request) -> AsyncGenerator[bytes]:
        """Yield the body in pieces of about a megabyte, as they come.

        Raises:
            HTTPException: nothing more comes, the sender is gone, or it is too much.
        """
        stream = aiter(request.stream())
        piece, total = bytearray(), 0
        while True:
            try:
                async with asyncio.timeout(self._web.idle_timeout_seconds):
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise HTTPException(408, "nothing more of the request came in time") from None
            except ClientDisconnect:
                raise HTTPException(400, "the sender went away") from None
            if chunk is None:
                break
            total += len(chunk)
            if total > self._web.max_request_bytes:
                raise _too_large(self._web)
            piece += chunk
            if len(piece) >= _PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)


def _authorize(web: Dicomweb, request: Request, refusals: Refusals) -> None:
    """Check the sender's token; the trail tells who shows none that is known.

    Raises:
        HTTPException: it shows none, or another.
    """
    if web.token is None:
        return
    try:
        expected = reveal(web.token)
    except SecretError as error:
        _log.error("No sender can be let in: %s.", error)
        raise HTTPException(503, "no sender can be let in at the moment", _RETRY_AFTER) from None
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    shown = token.strip().encode("latin-1")
    if scheme.lower() != "bearer" or not hmac.compare_digest(shown, expected.encode()):
        address = request.client.host if request.client else "an unknown address"
        _log.warning("A request from %s was refused: it shows no token that is known.", address)
        refusals.add(address, "it shows no token that is known")
        raise HTTPException(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})


def _too_large(web: Dicomweb) -> HTTPException:
    return HTTPException(413, f"a request may hold {web.max_request_bytes} bytes; send fewer films")


def _so_far(why: str, kept: Sequence[Kept]) -> str:
    stored = sum(each.failure is None for each in kept)
    return f"{why}; {stored} films that came before were stored"


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)


async def _failed(_: Request, error: Exception) -> Response:
    _log.error("A request failed (%s).", type(error).__name__)
    return PlainTextResponse("the request failed here\n", 500)
