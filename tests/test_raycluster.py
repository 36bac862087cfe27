"""The promises of deploy/kubernetes/overlays/ray: a RayCluster of KubeRay, and what works on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import settings
from tests.peers import ROOT
from tests.rendered import Object, environment, of_kind, pods, render

_PARAMS = {"type": "object", "additionalProperties": {"type": "string"}}
_COUNT = {"type": "integer", "minimum": 0}
_GROUP = {"rayStartParams": _PARAMS, "template": {"type": "object"}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayCluster"},
        "metadata": {"type": "object", "required": ["name", "namespace"]},
        "spec": {
            "type": "object",
            "required": ["headGroupSpec"],
            "additionalProperties": False,
            "properties": {
                "rayVersion": {"type": "string"},
                "enableInTreeAutoscaling": {"type": "boolean"},
                "suspend": {"type": "boolean"},
                "headGroupSpec": {
                    "type": "object",
                    "required": ["rayStartParams", "template"],
                    "additionalProperties": False,
                    "properties": {
                        **_GROUP,
                        "serviceType": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
                    },
                },
                "workerGroupSpecs": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": [
                            "groupName",
                            "minReplicas",
                            "maxReplicas",
                            "rayStartParams",
                            "template",
                        ],
                        "additionalProperties": False,
                        "properties": {
                            **_GROUP,
                            "groupName": {"type": "string"},
                            "replicas": _COUNT,
                            "minReplicas": _COUNT,
                            "maxReplicas": _COUNT,
                        },
                    },
                },
            },
        },
    },
}
"""What of a RayCluster is used here, by KubeRay's ray-operator/apis/ray/v1/raycluster_types.go.

The templates are held against the schemas of Kubernetes by tests/test_kubernetes.py.
"""


@pytest.fixture(scope="module")
def rendered() -> list[Object]:
    """What the overlay gives to the cluster."""
    return render("overlays/ray")


@pytest.fixture(scope="module")
def cluster(rendered: list[Object]) -> Object:
    """The one RayCluster."""
    (found,) = of_kind(rendered, "RayCluster").values()
    return found


@pytest.fixture(scope="module")
def group(cluster: Object) -> Object:
    """The one group of nodes that workers are placed on."""
    (found,) = cluster["spec"]["workerGroupSpecs"]
    return dict(found)


@pytest.fixture
def rule(
    rendered: list[Object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> settings.Settings:
    """The settings that the crew gets."""
    monkeypatch.chdir(tmp_path)
    return settings.load(environ=environment(rendered)).settings


def sidecar(rendered: list[Object]) -> Object:
    """Return the container that makes the crew's pod a node of the cluster."""
    (found,) = pods(rendered)["crew"]["spec"]["initContainers"]
    return dict(found)


def flags(container: Object) -> dict[str, str]:
    """Return the options of `ray start` that a container names, without their dashes."""
    given = [each.removeprefix("--").partition("=") for each in container["args"][1:]]
    return {name: value for name, _, value in given}


def test_the_cluster_fits_the_schema_of_kuberay(cluster: Object) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(cluster, SCHEMA)


def test_ray_is_started_with_options_that_it_has(rendered: list[Object], cluster: Object) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'hilum[ray]'")
    from ray.scripts.scripts import start

    known = {option.removeprefix("--") for each in start.params for option in each.opts}
    node = sidecar(rendered)
    assert (node["command"], node["args"][0]) == (["ray"], "start")
    spec = cluster["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert set(group["rayStartParams"]) <= known
    assert set(flags(node)) <= known


def test_the_version_of_ray_is_the_tested_one(cluster: Object) -> None:
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert cluster["spec"]["rayVersion"] == pinned[1]


def test_the_crew_is_a_node_of_the_cluster_on_which_nothing_is_placed(
    rendered: list[Object], cluster: Object
) -> None:
    node = sidecar(rendered)
    assert node["restartPolicy"] == "Always", "it would have to end before the crew begins"
    given = flags(node)
    head = cluster["spec"]["headGroupSpec"]["rayStartParams"]
    # The operator's name of the head's Service: that of the cluster with -head-svc behind it.
    assert given["address"] == f"{cluster['metadata']['name']}-head-svc:{head['port']}"
    assert given["num-cpus"] == head["num-cpus"] == "0"
    spec = pods(rendered)["crew"]["spec"]
    shared = {"/tmp", "/dev/shm"}
    places = [
        {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        for container in (node, *spec["containers"])
    ]
    assert [{path: mounts[path] for path in shared} for mounts in places] == [
        {path: places[0][path] for path in shared}
    ] * 2
    assert spec["shareProcessNamespace"] is True
    crew = of_kind(rendered, "Deployment")["crew"]["spec"]
    assert (crew["replicas"], crew["strategy"]["type"]) == (1, "Recreate")


def test_there_is_room_for_every_worker_that_may_come(
    group: Object, rule: settings.Settings
) -> None:
    (node,) = group["template"]["spec"]["containers"]
    cpus = float(group["rayStartParams"]["num-cpus"])
    assert cpus == float(node["resources"]["requests"]["cpu"])
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert group["replicas"] * (cpus // rule.ray.num_cpus) >= rule.ray.max_workers


def test_workers_find_films_and_database_as_the_crew_does(
    rendered: list[Object], group: Object
) -> None:
    crew = pods(rendered)["crew"]["spec"]
    worker = group["template"]["spec"]
    for spec in (crew, worker):
        claims = {
            each["name"]: each["persistentVolumeClaim"]["claimName"]
            for each in spec["volumes"]
            if "persistentVolumeClaim" in each
        }
        assert claims == {"data": "hilum-data"}
        mounts = {each["mountPath"]: each["name"] for each in spec["containers"][0]["volumeMounts"]}
        assert mounts["/var/lib/hilum"] == "data"
    passwords = [
        [each for each in spec["containers"][0]["env"] if each["name"] == "PGPASSWORD"]
        for spec in (crew, worker)
    ]
    assert len(passwords[0]) == 1
    assert passwords[0] == passwords[1], "it does not travel with the configuration"


def test_probes_ask_ports_at_which_ray_answers(rendered: list[Object], cluster: Object) -> None:
    spec = cluster["spec"]
    asked = {"crew": {flags(sidecar(rendered))["node-manager-port"]}}
    asked["ray-head"] = {spec["headGroupSpec"]["rayStartParams"]["port"]}
    asked["ray-worker"] = {
        group["rayStartParams"]["node-manager-port"] for group in spec["workerGroupSpecs"]
    }
    for name, ports in asked.items():
        pod = pods(rendered)[name]["spec"]
        for each in [*pod.get("initContainers", []), *pod["containers"]]:
            probes = [each[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")]
            assert {str(probe["grpc"]["port"]) for probe in probes} == ports, name


def test_rays_pods_reach_each_other_and_nobody_else_reaches_them(rendered: list[Object]) -> None:
    policy = of_kind(rendered, "NetworkPolicy")["ray"]["spec"]
    (rule,) = policy["ingress"]
    assert rule == {"from": [{"podSelector": policy["podSelector"]}]}
    (term,) = policy["podSelector"]["matchExpressions"]
    assert (term["key"], term["operator"]) == ("app.kubernetes.io/component", "In")
    named = {
        name: pod["metadata"]["labels"]["app.kubernetes.io/component"]
        for name, pod in pods(rendered).items()
    }
    assert set(term["values"]) == {named["crew"], named["ray-head"], named["ray-worker"]}


def test_a_node_may_be_drained_and_most_workers_stay(rendered: list[Object], group: Object) -> None:
    budget = of_kind(rendered, "PodDisruptionBudget")["ray-worker"]["spec"]
    # Of pods that no Deployment owns, Kubernetes takes nothing but a number that must stay.
    assert set(budget) == {"minAvailable", "selector"}
    assert 0 < budget["minAvailable"] < group["replicas"]
    labels = group["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_a_login_shell_finds_ray_in_the_image() -> None:
    """The operator starts Ray by bash, in some of its versions as a login shell."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "'PATH=/opt/hilum/bin:$PATH' > /etc/profile.d/hilum.sh" in text
