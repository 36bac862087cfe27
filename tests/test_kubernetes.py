"""The promises of deploy/kubernetes, without a cluster: rendered by kubectl, then looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import settings
from tests.peers import ROOT
from tests.rendered import FOLDER, Object, containers, environment, of_kind, pods, render

ROLES = {
    "listener": "listen",
    "worker": "work",
    "deliver": "deliver",
    "scheduler": "schedule",
    "console": "console",
}
FOLDERS = {
    "base": "0.1.0",
    "overlays/cluster": "0.1.0",
    "overlays/ray": "0.1.0-cluster",
}
"""What is rendered, and the tag of its image."""


@pytest.fixture(scope="module", params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> str:
    """A folder that is given to the cluster: the base alone, and every overlay."""
    return str(request.param)


@pytest.fixture(scope="module")
def rendered(folder: str) -> list[Object]:
    """The objects that it makes."""
    return render(folder)


@pytest.fixture(scope="module")
def roles(folder: str) -> dict[str, list[str]]:
    """The arguments of each role's container: on a Ray cluster the crew keeps the workers."""
    found = {name: [command] for name, command in ROLES.items()}
    if folder == "overlays/ray":
        del found["worker"]
        found["crew"] = ["work", "--ray", "auto"]
    return found


def test_the_rendered_objects_fit_the_schemas_of_kubernetes(rendered: list[Object]) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    version = validator.latest_version()
    for each in rendered:
        if each["kind"] != "RayCluster":  # tests/test_raycluster.py
            validator.validate(each, version, strict=True)
    for name, pod in pods(rendered).items():
        whole = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}}
        validator.validate({**whole, "template": pod}, version, strict=True)


def test_every_role_has_a_deployment_of_the_same_image(
    folder: str, rendered: list[Object], roles: dict[str, list[str]]
) -> None:
    assert set(of_kind(rendered, "Deployment")) == set(roles)
    found = pods(rendered)
    assert {name: found[name]["spec"]["containers"][0]["args"] for name in roles} == roles
    images = {each["image"] for each in containers(rendered)}
    assert {each for each in images if each.startswith("hilum")} == {f"hilum:{FOLDERS[folder]}"}
    assert all(":" in each and "latest" not in each for each in images)


def test_no_role_hangs_on_one_pod(rendered: list[Object]) -> None:
    deployments = of_kind(rendered, "Deployment")
    deployments.pop("crew", None)  # without it the workers end, and their tasks wait
    budgets = of_kind(rendered, "PodDisruptionBudget")
    budgets.pop("ray-worker", None)
    assert set(budgets) == set(deployments)
    for name, deployment in deployments.items():
        assert deployment["spec"]["replicas"] >= 2, name
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert budgets[name]["spec"]["selector"]["matchLabels"] == {
            key: labels[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/component")
        }
        assert budgets[name]["spec"]["maxUnavailable"] == 1


def test_every_container_is_probed_and_has_bounds(rendered: list[Object]) -> None:
    for each in containers(rendered):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert set(each[probe]) & {"httpGet", "exec", "grpc"}, probe
        names = {port["name"] for port in each.get("ports", [])}
        asked = [each[p]["httpGet"]["port"] for p in each if "httpGet" in (each[p] or {})]
        assert set(asked) <= names
        assert {"cpu", "memory"} <= set(each["resources"]["requests"])
        assert "memory" in each["resources"]["limits"]


def test_a_slow_start_is_given_more_time_than_a_hanging_role(rendered: list[Object]) -> None:
    for name, pod in pods(rendered).items():
        probe = pod["spec"]["containers"][0]["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 120, name


def test_no_container_may_do_more_than_it_must(rendered: list[Object]) -> None:
    for name, pod in pods(rendered).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for each in [*spec.get("initContainers", []), *spec["containers"]]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            mounted = {mount["mountPath"] for mount in each["volumeMounts"]}
            assert "/tmp" in mounted, f"{name}: nothing can be written elsewhere"
    user = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if "USER " in line)
    ids = {
        pod["spec"]["securityContext"]["runAsUser"]
        for name, pod in pods(rendered).items()
        if name != "database"
    }
    assert ids == {int(user.split()[1])}


def test_secrets_are_named_and_never_given(rendered: list[Object]) -> None:
    assert of_kind(rendered, "Secret") == {}
    example = yaml.safe_load((FOLDER / "secret.example.yaml").read_text(encoding="utf-8"))
    assert set(example["stringData"].values()) == {""}
    for each in containers(rendered):
        for variable in each["env"]:
            if "PASSWORD" in variable["name"]:
                secret = variable["valueFrom"]["secretKeyRef"]
                assert secret["name"] == example["metadata"]["name"]
                assert secret["key"] in example["stringData"]


def test_the_settings_are_real(
    rendered: list[Object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = environment(rendered)
    loaded = settings.load(environ=variables)
    assert set(loaded.origins.values()) == set(variables), "a variable that sets nothing"
    ports = {
        port["name"]: port["containerPort"]
        for each in containers(rendered)
        for port in each.get("ports", [])
    }
    made = loaded.settings
    assert (ports["dicom"], ports["metrics"], ports["http"]) == (
        made.listener.port,
        made.metrics.port,
        made.console.port,
    )


def test_services_lead_to_pods_and_films_keep_their_senders_address(rendered: list[Object]) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(rendered).items()}
    for name, service in of_kind(rendered, "Service").items():
        wanted = service["spec"]["selector"].items()
        assert any(wanted <= each.items() for each in labels.values()), name
    dicom = of_kind(rendered, "Service")["dicom"]["spec"]
    assert (dicom["type"], dicom["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert dicom["selector"].items() <= labels["listener"].items()


def test_nothing_comes_in_but_what_is_named(rendered: list[Object]) -> None:
    policies = of_kind(rendered, "NetworkPolicy")
    everywhere = policies.pop("nothing-comes-in")["spec"]
    assert everywhere == {"podSelector": {}, "policyTypes": ["Ingress"]}
    open_to_all = {
        (name, port["port"])
        for name, policy in policies.items()
        for rule in policy["spec"]["ingress"]
        if "from" not in rule
        for port in rule["ports"]
    }
    assert open_to_all == {("films", "dicom"), ("pages", "http")}
