"""PostgreSQL's primary is lost and its standby takes over: the service goes on, nothing is lost."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from db import migrations
from db.bell import Bell
from db.session import Database
from tests.faults.ledger import Tally
from tests.faults.reckoning import count, settle
from tests.faults.roles import delivering, reading, scheduling
from tests.faults.steady import SteadySender
from tests.peers import StoreSCP, hilum_process, wait_until
from tests.peers.standby import postgres_pair
from tests.system.whole import destination, make_films, whole

FILMS = 60


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_standby_takes_over_and_nothing_acknowledged_is_lost(
    tmp_path: Path, storescp: StoreSCP
) -> None:
    films = make_films(tmp_path / "films", FILMS, size=256)
    to_pacs = destination(storescp.port, storescp.ae_title, objects=["sr"])
    env = {"HILUM_WORKER__DECODE_PROCESSES": "1"}
    with postgres_pair() as pair:
        url = pair.database("failover")
        with closing(Database(url)) as database:
            migrations.upgrade(database, tmp_path)
        with (
            whole(tmp_path, destinations=[to_pacs], env=env, database_url=url) as service,
            hilum_process(["listen"], service.env, folder=service.folder) as listener,
            reading(service),
            scheduling(service),
            delivering(service),
            closing(Bell(service.database)) as bell,
        ):
            listener.wait_for(service.answers)
            sender = SteadySender(films, service.port)
            with sender.sending():
                wait_until(lambda: len(sender.uids) >= FILMS // 4, "films", seconds=60)
                pair.fail_over()
                sender.wait_for_next()
                sender.wait_for_all()
            service.wait_until_idle(FILMS)
            wait_until(lambda: bell.hears, "the bell to hear the new primary")
            listener.stop()
            settle(service)
            tally = Tally()
            count(tally, service, sender.uids, storescp)
            assert (tally.acknowledged, tally.lost, tally.duplicated) == (FILMS, 0, 0)
