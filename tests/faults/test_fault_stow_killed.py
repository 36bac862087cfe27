"""Fault 18: the server that takes films by STOW-RS is killed while they come."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from pydicom import dcmread

from tests.faults.ledger import Ledger
from tests.faults.reckoning import count
from tests.faults.roles import delivering, reading, scheduling
from tests.peers import StoreSCP, free_port, hilum_process
from tests.scp_service.dicomweb.posting import RELATED, multipart
from tests.system.whole import destination, make_films, whole

KILLS = 20
FILMS_A_KILL = 8
FILMS_A_REQUEST = 2
SIDE = 256
_LONGEST_MOMENT_SECONDS = 0.2
_ANSWER_SECONDS = 30
_PAUSE_SECONDS = 0.05


class Poster:
    """Films on their way in, some with each request; what was not acknowledged comes again."""

    def __init__(self, films: Sequence[Path], url: str) -> None:
        self._url = url
        self._left = [
            (str(dcmread(film, stop_before_pixels=True).SOPInstanceUID), film.read_bytes())
            for film in films
        ]
        self.acknowledged: list[str] = []

    def post_all(self, stop: threading.Event) -> None:
        """Send until all are acknowledged, or told to stop."""
        while self._left and not stop.is_set():
            some = self._left[:FILMS_A_REQUEST]
            if self._post([content for _, content in some]):
                self.acknowledged += [uid for uid, _ in some]
                del self._left[:FILMS_A_REQUEST]
            else:
                stop.wait(_PAUSE_SECONDS)

    def _post(self, contents: Sequence[bytes]) -> bool:
        try:
            answer = requests.post(
                f"{self._url}/dicomweb/studies",
                data=multipart(*contents),
                headers={"Content-Type": RELATED},
                timeout=_ANSWER_SECONDS,
            )
        except requests.RequestException:
            return False
        return answer.status_code == requests.codes.ok


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_kill_9_while_films_come_by_stow(
    database_url: str,
    kind: str,
    ledger: Ledger,
    rng: random.Random,
    times: Callable[[int], int],
    storescp: StoreSCP,
    tmp_path: Path,
) -> None:
    kills = times(KILLS)
    films = make_films(tmp_path / "films", FILMS_A_KILL * (kills + 1), size=SIDE)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    port = free_port()
    env = {"HILUM_WORKER__DECODE_PROCESSES": "1", "HILUM_DICOMWEB__PORT": str(port)}
    poster, stop = Poster(films, f"http://127.0.0.1:{port}"), threading.Event()
    with (
        ledger.fault("18", kind) as tally,
        whole(tmp_path, destinations=[to_pacs], env=env, database_url=database_url) as service,
        reading(service),
        scheduling(service),
        delivering(service),
        ThreadPoolExecutor(1) as pool,
    ):
        sent = pool.submit(poster.post_all, stop)
        try:
            for kill in range(kills):
                due = FILMS_A_KILL * kill
                with hilum_process(["dicomweb"], service.env, folder=tmp_path) as server:
                    server.wait_for(lambda due=due: len(poster.acknowledged) > due, seconds=60)
                    threading.Event().wait(rng.uniform(0, _LONGEST_MOMENT_SECONDS))
                    server.kill()
                    tally.times += 1
            begin, before = time.monotonic(), len(poster.acknowledged)
            with hilum_process(["dicomweb"], service.env, folder=tmp_path) as server:
                server.wait_for(
                    lambda: sent.done() or len(poster.acknowledged) > before, seconds=60
                )
                tally.recovered(time.monotonic() - begin)
                sent.result(timeout=300)
        finally:
            stop.set()
        service.wait_until_idle(len(films))
        assert len(poster.acknowledged) == len(films)
        count(tally, service, poster.acknowledged, storescp)
