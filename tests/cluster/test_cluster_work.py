"""`hilum work --ray` on a real cluster of two nodes, of which one is lost while films are read."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from db import migrations
from db.files import FileStore
from db.models import Instance, Report, StoredReading
from tests.cluster.conftest import TwoNodes
from tests.db.makers import rows
from tests.inference.worker.work import receive_files
from tests.peers import hilum_process, wait_until
from tests.system.whole import make_films, whole

pytestmark = pytest.mark.long

FILMS = 150


def test_a_node_is_lost_and_every_film_has_one_reading_and_one_report(
    tmp_path: Path, two_nodes: TwoNodes
) -> None:
    films = make_films(tmp_path / "films", FILMS)
    env = {"HILUM_RAY__MIN_WORKERS": "2", "HILUM_RAY__MAX_WORKERS": "2"}
    with whole(tmp_path, env=env) as service, closing(service.database) as database:
        store = FileStore(service.data)
        store.prepare()
        migrations.upgrade(database, store.root)
        with (
            hilum_process(["schedule"], service.env, folder=tmp_path),
            hilum_process(
                ["work", "--ray", two_nodes.address], service.env, folder=tmp_path
            ) as driver,
        ):
            driver.wait_for("Worker 1 works on", seconds=120)
            driver.wait_for("Worker 2 works on", seconds=120)
            driver.wait_for(lambda: driver.log().count("Reading with") >= 2, seconds=150)
            receive_files(database, store, *films)
            wait_until(lambda: service.count(StoredReading) >= 8, "some readings", seconds=120)
            two_nodes.lose()
            assert service.count(StoredReading) < FILMS, "the node was lost too late"
            driver.wait_for("is replaced: it is lost with its process or node", seconds=120)
            service.wait_until_idle(FILMS, seconds=200)
        readings = Counter(each.instance_id for each in rows(database, StoredReading))
        assert readings == {each.id: 1 for each in rows(database, Instance)}
        reports = Counter(each.study_id for each in rows(database, Report))
        assert len(reports) == FILMS
        assert set(reports.values()) == {1}
