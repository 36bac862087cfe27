"""Fault 15c: peers with a foreign CA, an expired certificate, plain DICOM, or nothing to say."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scp_service.certificates import Trial, make_trial
from tests.faults.ledger import Ledger
from tests.faults.roles import receiving
from tests.peers import echoscu, free_port, storescu
from tests.system.whole import make_films, whole

ROUNDS = 40
SIDE = 64
_PORT = "HILUM_LISTENER__TLS__PORT"


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_wrong_peers_on_the_tls_port(
    fresh_sqlite: Callable[[], str],
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    tmp_path: Path,
) -> None:
    """After each of them a peer with the right certificate sends a film."""
    now = datetime.now(UTC)
    right = make_trial(tmp_path / "right", ["127.0.0.1"], days=30, now=now)
    wrong = {
        "foreign": make_trial(tmp_path / "foreign", ["127.0.0.1"], days=30, now=now),
        "expired": make_trial(
            tmp_path / "expired", ["127.0.0.1"], days=1, now=now - timedelta(days=30)
        ),
    }
    films = make_films(tmp_path / "films", times(ROUNDS), size=SIDE)
    env = {
        "HILUM_LISTENER__TLS__ENABLED": "true",
        _PORT: str(free_port()),
        "HILUM_LISTENER__TLS__CERTIFICATE": str(right.server),
        "HILUM_LISTENER__TLS__CA": str(right.ca),
        "HILUM_LISTENER__TLS__CLIENT_CERTIFICATE": "required",
    }
    with (
        ledger.fault("15c") as tally,
        whole(tmp_path, env=env, database_url=fresh_sqlite()) as service,
        receiving(service),
        ExitStack() as silent,
    ):
        port = int(env[_PORT])
        for film in films:
            who = rng.choice(("foreign", "expired", "plain", "silent"))
            if who == "silent":
                silent.enter_context(socket.create_connection(("127.0.0.1", port)))
            else:
                options = _shows(wrong[who], right) if who in wrong else ()
                assert not echoscu(port, called="HILUM", options=options), who
            tally.times += 1
            sent = storescu([film], port, options=_shows(right, right)).accepted
            tally.acknowledged += sent
            tally.lost += 1 - sent
        assert len(service.instances()) == len(films)


def _shows(who: Trial, ca: Trial) -> tuple[str, ...]:
    """Options with which a tool of DCMTK shows a certificate and trusts a CA."""
    return ("+tls", str(who.client), str(who.client), "+cf", str(ca.ca))
