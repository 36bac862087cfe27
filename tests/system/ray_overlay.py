"""Runs what overlays/ray has in its pods, as far as one machine can: see test_ray_overlay.py.

Reads what was rendered from standard input, as JSON, and prints one JSON object at the end.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import grpc

from tests.peers.pods import DATA, Pod, prepare
from tests.peers.process import ROOT, ChildProcess, ProcessFailedError, wait_until
from tests.rendered import Object, environment, of_kind, pods

_SERVING = b"\x08\x01"
"""grpc.health.v1.HealthCheckResponse with the status SERVING."""


def main(objects: list[Object]) -> dict[str, Any]:
    """Start head, one worker and the crew; have a worker placed and given back."""
    prepare()
    spec = of_kind(objects, "RayCluster")["ray"]["spec"]
    (group,) = spec["workerGroupSpecs"]
    templates = pods(objects)
    (node,) = templates["crew"]["spec"]["initContainers"]
    (hilum,) = templates["crew"]["spec"]["containers"]
    settings = {
        **environment(objects),
        "HILUM_DATA_DIR": str(DATA),
        "HILUM_DATABASE_URL": f"sqlite:///{DATA / 'hilum.sqlite'}",
        "HILUM_RAY__MIN_WORKERS": "1",
    }
    places = [
        Pod(name, number) for number, name in enumerate(("ray-head-svc", "worker", "crew"), 1)
    ]
    head_pod, worker_pod, crew_pod = places
    started: list[ChildProcess] = []
    try:
        started.append(head_pod.start(_ray("--head", spec["headGroupSpec"]), {}))
        _answers(head_pod, templates["ray-head"]["spec"]["containers"][0], started[-1])
        joins = f"--address=ray-head-svc:{spec['headGroupSpec']['rayStartParams']['port']}"
        started.append(worker_pod.start(_ray(joins, group), {}))
        started.append(crew_pod.start([*_program(node["command"]), *node["args"]], {}))
        _answers(worker_pod, templates["ray-worker"]["spec"]["containers"][0], started[-2])
        _answers(crew_pod, node, started[-1])
        crew = crew_pod.start([sys.executable, "-m", "hilum", *hilum["args"]], settings)
        started.append(crew)
        _answers(crew_pod, hilum, crew)
        crew.wait_for("Reading with", seconds=150)
        crew.children()[0].send_signal(signal.SIGTERM)
        return {"status": crew.wait(seconds=60), "log": crew.log()}
    except ProcessFailedError as error:
        return {"status": None, "log": "\n".join([str(error), *(each.tail() for each in started)])}


def _ray(how: str, group: Object) -> list[str]:
    """Return what the operator starts: a parameter whose value is true or false is a switch."""
    given = [f"--{name}={value}" for name, value in group["rayStartParams"].items()]
    return [*_program(["ray"]), "start", how, *given, "--block"]


def _program(command: list[str]) -> list[str]:
    """Return the command with the program of this environment."""
    return [str(Path(sys.executable).parent / command[0]), *command[1:]]


def _answers(pod: Pod, container: Object, process: ChildProcess) -> None:
    """Wait until each probe of a container is answered as it must be, at the pod's address."""
    for kind in ("startup", "readiness", "liveness"):
        port = container[f"{kind}Probe"]["grpc"]["port"]
        wait_until(
            lambda port=port: _is_serving(f"{pod.address}:{port}"),
            kind,
            seconds=60,
            process=process,
        )


def _is_serving(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            return bool(check(b"", timeout=5) == _SERVING)
        except grpc.RpcError:
            return False


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    print(json.dumps(main(json.load(sys.stdin))))
