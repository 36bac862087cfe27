"""What `hilum doctor` says of the console."""

from __future__ import annotations

from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from commands.check import Verdict
from commands.doctor_console import console
from db import migrations
from db.session import Database
from settings import load
from tests.console.browser.chromium import served
from tests.console.browsing import add_user, running_console
from tests.peers import free_port


def said(folder: Path, **values: Any) -> list[tuple[Verdict, str]]:
    given = {f"console.{key}": value for key, value in {"enabled": True, **values}.items()}
    settings = load({"data_dir": str(folder), **given}, environ={}).settings
    return [(check.verdict, check.text) for check in console(settings)]


def test_a_console_that_is_not_enabled_is_not_looked_at(tmp_path: Path) -> None:
    assert said(tmp_path, enabled=False) == []


@pytest.mark.parametrize(
    ("values", "open_to_all"),
    [
        ({"host": "0.0.0.0"}, True),
        ({"host": "127.0.0.1"}, False),
        ({"host": "0.0.0.0", "proxies": ["10.0.0.2"]}, False),
        ({"host": "0.0.0.0", "tls": {"enabled": True, "certificate": "c.pem"}}, False),
    ],
)
def test_one_that_is_open_to_the_network_without_tls_is_told_of(
    tmp_path: Path, values: dict[str, Any], open_to_all: bool
) -> None:
    found = said(tmp_path, port=free_port(), **values)
    told = [text for verdict, text in found if "without TLS" in text]
    assert len(told) == open_to_all


def test_it_tells_whether_it_answers_and_whether_there_is_a_user(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'hilum.sqlite'}")) as database:
        migrations.upgrade(database, tmp_path)
        with running_console(database, tmp_path) as context, served(context) as base:
            port = int(base.rpartition(":")[2])
            assert said(tmp_path, port=port) == [
                (Verdict.GOOD, f"port {port} answers"),
                (
                    Verdict.NOTE,
                    "there is no user yet; it prints a first password where it starts",
                ),
            ]
            add_user(context, "ann")
            assert said(tmp_path, port=port) == [(Verdict.GOOD, f"port {port} answers")]
        found = said(tmp_path, port=port)
        assert [verdict for verdict, _ in found] == [Verdict.NOTE]
        assert "is free" in found[0][1]


def test_a_port_that_something_else_has_is_told_of(tmp_path: Path) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        Thread(target=other.serve_forever).start()
        found = said(tmp_path, port=other.server_port)
        other.shutdown()
    assert found[0][0] is Verdict.BAD
    assert "something that is not Hilum" in found[0][1]
