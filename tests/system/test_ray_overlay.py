"""The commands and probes of deploy/kubernetes/overlays/ray, with Ray and without Kubernetes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests import peers
from tests.peers import ROOT
from tests.peers.pods import isolated
from tests.rendered import render

pytestmark = pytest.mark.long


def test_the_crew_has_a_worker_placed_and_gives_it_back() -> None:
    """Each pod has namespaces of its own, in which it may write where its manifest says so."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'hilum[ray]'")
    pytest.importorskip("grpc")
    peers.require("ip", "unshare", "nsenter")
    if subprocess.run(isolated(["true"]), capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root, for namespaces")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HILUM_")}
    done = subprocess.run(
        isolated([sys.executable, "-m", "tests.system.ray_overlay"]),
        input=json.dumps(render("overlays/ray")),
        env={**kept, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["status"] == 0, found["log"]
    assert "Worker 1 works on" in found["log"]
