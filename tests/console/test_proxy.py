"""Behind a reverse proxy: its word on address and HTTPS counts, and nobody else's."""

from __future__ import annotations

import httpx
import pytest

from console.app import make_app
from console.context import Context
from db.models import LoginSession
from scp_service.http_server import serving_http
from tests.console.browsing import PASSWORD, add_user, shown_csrf
from tests.db.makers import rows
from tests.peers import free_port

FORWARDED = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("proxies", "believed"),
    [(("127.0.0.1",), True), (("127.0.0.0/8",), True), (("10.0.0.2",), False), ((), False)],
)
def test_only_a_configured_proxy_is_believed(
    context: Context, proxies: tuple[str, ...], believed: bool
) -> None:
    add_user(context, "ann")
    port = free_port()
    with serving_http(
        make_app(context),
        "127.0.0.1",
        port,
        context.settings.console.tls,
        name="console",
        who="a browser",
        trail=context.trail,
        proxies=proxies,
    ):
        base = f"http://127.0.0.1:{port}"
        form = httpx.get(f"{base}/login", headers=FORWARDED)
        (cookie,) = form.headers.get_list("set-cookie")
        name_and_value = cookie.partition(";")[0]
        answer = httpx.post(
            f"{base}/login",
            headers={**FORWARDED, "Cookie": name_and_value},
            data={"csrf": shown_csrf(form), "name": "ann", "password": PASSWORD},
        )
    assert answer.status_code == 303
    kept = answer.headers.get_list("set-cookie")[0]
    assert kept.startswith("__Host-hilum_session=") is believed
    assert ("Secure" in kept.split("; ")) is believed
    (session,) = rows(context.database, LoginSession)
    assert session.address == ("192.0.2.7" if believed else "127.0.0.1")
