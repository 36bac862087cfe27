"""`hilum reread --ray` on a real cluster of two nodes, of which one is lost meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from db import migrations
from db.files import FileStore
from db.models import Instance, ShadowReading
from tests.cluster.conftest import TwoNodes
from tests.db.makers import read_all, rows
from tests.inference.bundles import packaged_as
from tests.inference.worker.work import receive_files
from tests.peers import hilum_process, wait_until
from tests.system.whole import make_films, whole

pytestmark = pytest.mark.long

FILMS = 400


def test_a_node_is_lost_and_every_film_is_read_once(
    tmp_path: Path, two_nodes: TwoNodes, postgres_url: str
) -> None:
    films = make_films(tmp_path / "films", FILMS)
    second = packaged_as(tmp_path / "second", "second", "2").path
    env = {"HILUM_RAY__MIN_WORKERS": "2", "HILUM_RAY__MAX_WORKERS": "2"}
    with (
        whole(tmp_path, env=env, database_url=postgres_url) as service,
        closing(service.database) as database,
    ):
        store = FileStore(service.data)
        store.prepare()
        migrations.upgrade(database, store.root)
        receive_files(database, store, *films)
        read_all(database)
        command = ["reread", "--bundle", second, "--shadow", "--json", "--ray", two_nodes.address]
        with hilum_process(command, service.env, folder=tmp_path) as job:
            wait_until(
                lambda: service.count(ShadowReading), "some readings", seconds=150, process=job
            )
            two_nodes.lose()
            assert service.count(ShadowReading) < FILMS, "the node was lost too late"
            assert job.wait(seconds=250) == 0
        readings = Counter(each.instance_id for each in rows(database, ShadowReading))
        assert readings == {each.id: 1 for each in rows(database, Instance)}
        found = json.loads(next(x for x in job.log().splitlines() if x.startswith('{"bundle"')))
        assert (found["films"], found["left"]) == (FILMS, 0)
        assert found["comparison"]["films"] == FILMS
