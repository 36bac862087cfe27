"""The part of `hilum doctor` that looks at where films come from, beside the listener."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import httpx

from commands.check import Check, Verdict
from scp_service.archives.found import ArchiveError, RetrieveError, UnavailableError
from scp_service.archives.kinds import archive_of
from scp_service.destinations.connector import PROBE_SECONDS
from settings import Dicomweb, Settings

_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def archives(settings: Settings) -> Iterator[Check]:
    """Ask every archive that films may be fetched from whether it is there."""
    for archive in settings.archives:
        name = f"archive {archive.name}"
        hurried = archive.model_copy(update={"timeout_seconds": PROBE_SECONDS})
        with closing(archive_of(hurried, settings, None)) as asked:
            try:
                asked.probe()
            except (ArchiveError, RetrieveError, UnavailableError) as error:
                yield Check(name, Verdict.BAD, f"{asked.where}: {error}")
            else:
                yield Check(name, Verdict.GOOD, f"{asked.where} answers")


def stow(settings: Settings) -> Iterator[Check]:
    """Look whether films can come by STOW-RS, where that is enabled."""
    web = settings.dicomweb
    if not web.enabled:
        return
    if is_free(web.host, web.port):
        text = f"port {web.port} is free; `hilum serve` will take films there by STOW-RS"
        yield Check("dicomweb", Verdict.NOTE, text)
    else:
        yield _health(web)
    if not web.is_guarded:
        text = "no token is configured: anyone on this machine may send by STOW-RS"
        yield Check("dicomweb", Verdict.NOTE, text)
    if web.is_in_the_clear:
        text = "TLS is not enabled: films and tokens come unencrypted; see dicomweb.tls"
        yield Check("dicomweb", Verdict.NOTE, text)


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _health(web: Dicomweb) -> Check:
    scheme = "https" if web.tls.enabled else "http"
    url = f"{scheme}://{_ANY.get(web.host, web.host)}:{web.port}/health"
    try:
        # Its certificate is our own, which is checked by itself, and may not name this address.
        answer = httpx.get(url, verify=False, timeout=PROBE_SECONDS, trust_env=False)
    except httpx.HTTPError:
        if web.tls.enabled and web.tls.client_certificate == "required":
            text = f"port {web.port} is in use; without a certificate it was not asked more"
            return Check("dicomweb", Verdict.NOTE, text)
        text = f"port {web.port} is in use or barred, and no Hilum answers there"
        return Check("dicomweb", Verdict.BAD, f"{text}; choose another dicomweb.port")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        text = f"port {web.port} answers that room or database is missing"
        return Check("dicomweb", Verdict.BAD, f"{text}; see storage and database above")
    if not answer.is_success:
        text = f"port {web.port} is in use by something that is not Hilum"
        return Check("dicomweb", Verdict.BAD, f"{text}; choose another dicomweb.port")
    return Check("dicomweb", Verdict.GOOD, f"port {web.port} answers")
