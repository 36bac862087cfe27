"""The part of `hilum doctor` that looks at the console: who can reach it, and how."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import httpx
from sqlalchemy.exc import SQLAlchemyError

from commands.check import Check, Verdict
from commands.doctor_sources import is_free
from db import accounts
from db.session import Database
from settings import Console, Settings

_PATIENCE_SECONDS = 5
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
_NAME = "console"


def console(settings: Settings) -> Iterator[Check]:
    """Look whether the console answers, whether it is secured, and whether somebody may log in."""
    web = settings.console
    if not web.enabled:
        return
    if is_free(web.host, web.port):
        text = f"port {web.port} is free; `hilum serve` or `hilum console` will answer there"
        yield Check(_NAME, Verdict.NOTE, text)
    else:
        yield _answers(web)
    if web.is_in_the_clear:
        text = (
            "it is open to the network without TLS: passwords and patient data pass unencrypted;"
            " set console.tls, or name the reverse proxy before it in console.proxies"
        )
        yield Check(_NAME, Verdict.NOTE, text)
    if _has_no_user(settings):
        text = "there is no user yet; it prints a first password where it starts"
        yield Check(_NAME, Verdict.NOTE, text)


def _answers(web: Console) -> Check:
    scheme = "https" if web.tls.enabled else "http"
    url = f"{scheme}://{_ANY.get(web.host, web.host)}:{web.port}/health"
    try:
        # Its certificate is our own, which is checked by itself, and may not name this address.
        answer = httpx.get(url, verify=False, timeout=_PATIENCE_SECONDS, trust_env=False)
    except httpx.HTTPError:
        if web.tls.enabled and web.tls.client_certificate == "required":
            text = f"port {web.port} is in use; without a certificate it was not asked more"
            return Check(_NAME, Verdict.NOTE, text)
        text = f"port {web.port} is in use or barred, and no console answers there"
        return Check(_NAME, Verdict.BAD, f"{text}; choose another console.port")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        text = f"port {web.port} answers that the database is missing; see database above"
        return Check(_NAME, Verdict.BAD, text)
    if not answer.is_success or "hilum console" not in answer.text:
        text = f"port {web.port} is in use by something that is not Hilum"
        return Check(_NAME, Verdict.BAD, f"{text}; choose another console.port")
    return Check(_NAME, Verdict.GOOD, f"port {web.port} answers")


def _has_no_user(settings: Settings) -> bool:
    with closing(Database(settings.database)) as database:
        try:
            with database.read() as session:
                return not accounts.users(session)
        except SQLAlchemyError:
            return False  # the database itself is told of elsewhere
