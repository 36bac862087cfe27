"""What is deployed beside Hilum asks for metrics that exist: dashboard, alert rules, document."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import yaml
from prometheus_client import REGISTRY
from pydantic import SecretStr

import metrics
from db import migrations
from db.bucket import Bucket
from db.objects import ObjectStore
from db.session import Database
from scp_service.monitor.standing import StandingCollector
from settings.storage import Storage
from tests.peers import ROOT, free_port

DASHBOARD = ROOT / "deploy" / "grafana" / "hilum.json"
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DOCUMENT = ROOT / "docs" / "monitoring.md"
_NAME = re.compile(r"\bhilum_\w+")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all series that Hilum tells, whether or not there is a value yet."""
    folder = tmp_path_factory.mktemp("known")
    database = Database(f"sqlite:///{folder / 'hilum.sqlite'}")
    migrations.upgrade(database, folder)
    assert metrics.FILMS is not None
    nobody = Storage(
        endpoint_url=f"http://127.0.0.1:{free_port()}", access_key="a", secret_key=SecretStr("b")
    )
    store = ObjectStore(folder, Bucket("s3://films", nobody), wait_seconds=1)
    store.prepare()
    families = [*REGISTRY.collect(), *StandingCollector(database, store).collect()]
    database.close()
    endings = {
        "counter": ("_total",),
        "histogram": ("_bucket", "_sum", "_count"),
        "gauge": ("",),
        "info": ("_info",),
    }
    return {
        family.name + ending
        for family in families
        if family.name.startswith("hilum_")
        for ending in endings[family.type]
    }


def expressions() -> Iterator[str]:
    """Yield every query of the dashboard and the rules."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def test_every_query_asks_for_a_metric_that_exists(known: set[str]) -> None:
    asked = {name for each in expressions() for name in _NAME.findall(each)}
    assert asked
    assert asked - known == set()


def test_every_metric_is_shown_by_the_dashboard_and_explained(known: set[str]) -> None:
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known}
    explained = set(re.findall(r"^\| `(hilum_\w+)`", DOCUMENT.read_text(), re.MULTILINE))
    assert explained == families
    text = DASHBOARD.read_text()
    unseen = {name for name in families if name not in text}
    assert unseen == {"hilum_build_info", "hilum_database_up", "hilum_self_test_seconds"}


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"])
        for panel in panels
        for column in range(panel["gridPos"]["w"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < 24


def test_every_rule_says_what_is_wrong_and_how_bad_it_is() -> None:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
            assert rule["annotations"]["summary"].endswith("."), rule["alert"]


def test_promtool_takes_the_rules() -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("needs promtool (Debian: prometheus)")
    done = subprocess.run(
        [tool, "check", "rules", RULES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
