"""The web server that films come in by: it warns of what is open, and says where it listens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from db.files import FileStore
from db.session import Database
from scp_service.dicomweb.app import application
from scp_service.http_server import serving_http
from scp_service.receive import receiving
from settings import Settings

_log = logging.getLogger(__name__)


@contextmanager
def serving(
    settings: Settings,
    database: Database,
    store: FileStore,
    ended: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Serve until the context ends; requests under way then get time to finish.

    `ended` is called when the server is no more, whatever ended it.

    Raises:
        OSError: the port is taken or may not be used.
        TlsError: a certificate, key or CA file cannot be used.
    """
    web = settings.dicomweb
    if not web.is_guarded:
        _log.warning("No token is configured: ANYONE on this machine may send films by STOW-RS.")
    if web.is_in_the_clear:
        _log.warning("TLS is not enabled: films and tokens come by STOW-RS UNENCRYPTED.")
    with receiving(settings, database, store) as receiver:
        app = application(settings, database, store, receiver)
        served = serving_http(
            app,
            web.host,
            web.port,
            web.tls,
            name="dicomweb",
            who="a sender of STOW-RS",
            trail=receiver.trail,
            ended=ended,
        )
        with served:
            scheme = "https" if web.tls.enabled else "http"
            where = f"{scheme}://{web.host}:{web.port}/dicomweb"
            _log.info("Taking films by STOW-RS at %s.", where)
            yield
