"""A Ray cluster of this machine: a head without room, and two nodes with room for one worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.peers import ROOT


@dataclass(frozen=True, slots=True)
class TwoNodes:
    """The cluster and its address; `lose` takes a node away as a power cut would."""

    cluster: Any
    address: str
    nodes: list[Any]

    def lose(self) -> None:
        """Kill everything of the node that was added last."""
        self.cluster.remove_node(self.nodes.pop(), allow_graceful=False)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoNodes]:
    """Start the cluster; what is left of it ends with the test."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'hilum[ray]'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=_node(0))
    try:
        nodes = [cluster.add_node(**_node(1)) for _ in range(2)]
        yield TwoNodes(cluster, cluster.address, nodes)
    finally:
        cluster.shutdown()


def _node(cpus: int) -> dict[str, Any]:
    return {
        "num_cpus": cpus,
        "num_gpus": 0,
        "include_dashboard": False,
        "object_store_memory": 80 * 2**20,
    }
