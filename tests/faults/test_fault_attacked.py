"""Fault 7: the port is attacked in every way that `bench.attacks` knows while a sender works."""

from __future__ import annotations

import random
import ssl
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from bench.attack_kinds import ATTACKS
from bench.attacked import Target
from scp_service.certificates import make_trial
from tests.faults.ledger import Ledger
from tests.faults.reckoning import count
from tests.faults.steady import SteadySender
from tests.peers import free_port, hilum_process, wait_until
from tests.system.whole import make_films, whole

ROUNDS = 10
ECHOES = 5
FILMS = 40
SIDE = 256
SLOWEST_ECHO_SECONDS = 1.0
THREADS_BACK_SECONDS = 30.0


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_attacks_while_a_sender_works(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    tmp_path: Path,
) -> None:
    """Each attack, in an order that the seed decides; peers that mean well have another address."""
    films = make_films(tmp_path / "films", FILMS, size=SIDE)
    trial = make_trial(tmp_path / "trial", ["127.0.0.1"], days=1, now=datetime.now(UTC))
    tls_port = free_port()
    env = {
        "HILUM_LISTENER__TLS__ENABLED": "true",
        "HILUM_LISTENER__TLS__PORT": str(tls_port),
        "HILUM_LISTENER__TLS__CERTIFICATE": str(trial.server),
    }
    slowest, back = 0.0, 0.0
    with (
        ledger.fault("7", kind) as tally,
        whole(tmp_path, env=env, database_url=database_url) as service,
        hilum_process(["listen"], service.env, folder=service.folder) as listener,
    ):
        listener.wait_for(service.answers)
        plain = Target(listener, service.port, service.folder)
        secured = Target(
            listener, tls_port, service.folder, ssl.create_default_context(cafile=trial.ca)
        )
        sender = SteadySender(films, service.port)
        with sender.sending():
            sender.wait_for_next()
            base = psutil.Process(listener.pid).num_threads()
            for _ in range(times(ROUNDS)):
                for name in rng.sample(sorted(ATTACKS), len(ATTACKS)):
                    attack = ATTACKS[name]
                    target = secured if attack.over_tls else plain
                    with attack.begin(target, Counter()):
                        for _ in range(ECHOES):
                            echo = target.echo("127.0.0.2")
                            assert echo is not None, f"no echo: {name}"
                            slowest = max(slowest, echo)
                    over = time.monotonic()
                    sender.wait_for_next()
                    tally.recovered(time.monotonic() - over)
                    wait_until(
                        lambda: psutil.Process(listener.pid).num_threads() <= base,
                        f"threads back after {name}",
                        seconds=THREADS_BACK_SECONDS,
                        process=listener,
                    )
                    back = max(back, time.monotonic() - over)
                    tally.times += 1
            sender.wait_for_all()
        tally.remark = f"slowest echo {slowest:.2f} s, threads back after {back:.1f} s at most"
        assert slowest <= SLOWEST_ECHO_SECONDS
        count(tally, service, sender.uids)
