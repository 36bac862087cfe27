"""The promises of deploy/kubernetes, without a cluster: rendered by kubectl, then looked at."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import settings
from tests import peers
from tests.peers import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
ROLES = {
    "listener": "listen",
    "worker": "work",
    "deliver": "deliver",
    "scheduler": "schedule",
    "console": "console",
}

Object = dict[str, Any]


@pytest.fixture(scope="module", params=["base", "overlays/cluster"])
def rendered(request: pytest.FixtureRequest) -> list[Object]:
    """What is given to the cluster: objects, by the base alone and by the overlay."""
    (kubectl,) = peers.require("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", str(FOLDER / request.param)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of this kind, by name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: list[Object]) -> dict[str, Object]:
    """Return what pods are made from, by the name of what makes them."""
    made = of_kind(objects, "Deployment") | of_kind(objects, "StatefulSet")
    return {name: each["spec"]["template"] for name, each in made.items()}


def containers(objects: list[Object]) -> list[Object]:
    return [each for pod in pods(objects).values() for each in pod["spec"]["containers"]]


def environment(objects: list[Object]) -> dict[str, str]:
    """Return the settings that all roles get."""
    found: dict[str, str] = of_kind(objects, "ConfigMap")["hilum"]["data"]
    return found


def test_the_rendered_objects_fit_the_schemas_of_kubernetes(rendered: list[Object]) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    for each in rendered:
        validator.validate(each, validator.latest_version(), strict=True)


def test_every_role_has_a_deployment_of_the_same_image(rendered: list[Object]) -> None:
    found = pods(rendered)
    commands = {name: found[name]["spec"]["containers"][0]["args"] for name in ROLES}
    assert commands == {name: [command] for name, command in ROLES.items()}
    images = {found[name]["spec"]["containers"][0]["image"] for name in ROLES}
    assert images == {"hilum:0.1.0"}
    assert all(
        ":" in each["image"] and "latest" not in each["image"] for each in containers(rendered)
    )


def test_no_role_hangs_on_one_pod(rendered: list[Object]) -> None:
    deployments = of_kind(rendered, "Deployment")
    budgets = of_kind(rendered, "PodDisruptionBudget")
    assert set(budgets) == set(deployments) == set(ROLES)
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
            assert set(each[probe]) & {"httpGet", "exec", "tcpSocket"}, probe
        names = {port["name"] for port in each["ports"]}
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
        for each in spec["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            mounted = {mount["mountPath"] for mount in each["volumeMounts"]}
            assert "/tmp" in mounted, f"{name}: nothing can be written elsewhere"
    user = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if "USER " in line)
    ids = {pods(rendered)[name]["spec"]["securityContext"]["runAsUser"] for name in ROLES}
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
        for port in each["ports"]
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
        for port in rule["ports"]
        if "from" not in rule
    }
    assert open_to_all == {("films", "dicom"), ("pages", "http")}
