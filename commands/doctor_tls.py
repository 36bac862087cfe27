"""The part of `hilum doctor` that looks at certificates: readable, fitting, in time?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from commands.check import Check, Verdict
from scp_service.certificates import validities
from scp_service.tls import TlsError, client_context, server_context
from settings import Settings, Trust, WebServerTls

_SOON = timedelta(days=30)


def certificates(settings: Settings, now: datetime) -> Iterator[Check]:
    """Check every certificate that is in use, those of the listener first."""
    if settings.listener.tls.enabled:
        yield from _checks("listener.tls", settings.listener.tls, now)
    if settings.dicomweb.enabled and settings.dicomweb.tls.enabled:
        yield from _checks("dicomweb.tls", settings.dicomweb.tls, now)
    if settings.console.enabled and settings.console.tls.enabled:
        yield from _checks("console.tls", settings.console.tls, now)
    for destination in settings.destinations:
        if destination.trust is not None:
            yield from _checks(f"tls of destination {destination.name}", destination.trust, now)
    for archive in settings.archives:
        if archive.trust is not None:
            yield from _checks(f"tls of archive {archive.name}", archive.trust, now)
    for peer in settings.peers:
        if peer.return_results and peer.tls.enabled:
            yield from _checks(f"tls of peer {peer.ae_title}", peer.tls, now)


def _checks(name: str, tls: WebServerTls | Trust, now: datetime) -> Iterator[Check]:
    try:
        server_context(tls) if isinstance(tls, WebServerTls) else client_context(tls)
        files = [path for path in (tls.certificate, tls.ca) if path is not None]
        problems = [check for path in files for check in _expiries(name, path, now)]
    except TlsError as error:
        yield Check(name, Verdict.BAD, str(error))
        return
    shown = ", ".join(map(str, files)) or "the CAs of the system"
    yield from problems or [Check(name, Verdict.GOOD, shown)]


def _expiries(name: str, path: Path, now: datetime) -> Iterator[Check]:
    for each in validities(path):
        if each.until < now:
            text = f"{path}: the certificate of {each.subject} expired on {each.until:%Y-%m-%d}"
            yield Check(name, Verdict.BAD, f"{text}; renew it")
        elif each.since > now:
            text = f"{path}: the certificate of {each.subject} is not good before"
            yield Check(name, Verdict.BAD, f"{text} {each.since:%Y-%m-%d %H:%M} UTC")
        elif each.until - now < _SOON:
            text = f"{path}: the certificate of {each.subject} expires on {each.until:%Y-%m-%d}"
            yield Check(name, Verdict.NOTE, f"{text}; renew it in time")
