"""The promises of deploy/kubernetes, without a cluster: rendered by kubectl, then looked at."""

from __future__ import annotations

import re
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
    "overlays/s3": "0.1.0-cluster",
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


def test_secrets_are_named_and_never_given(folder: str, rendered: list[Object]) -> None:
    assert of_kind(rendered, "Secret") == {}
    known: dict[str, set[str]] = {}
    for file in {FOLDER / "secret.example.yaml", FOLDER / folder / "secret.example.yaml"}:
        if file.exists():
            example = yaml.safe_load(file.read_text(encoding="utf-8"))
            assert set(example["stringData"].values()) == {""}
            known[example["metadata"]["name"]] = set(example["stringData"])
    asked: dict[str, set[str]] = {}
    for each in containers(rendered):
        for variable in each["env"]:
            if re.search("PASSWORD|KEY|SECRET|TOKEN", variable["name"]):
                secret = variable["valueFrom"]["secretKeyRef"]
                asked.setdefault(secret["name"], set()).add(secret["key"])
    for pod in pods(rendered).values():
        for volume in pod["spec"]["volumes"]:
            if "secret" in volume:
                keys = {item["key"] for item in volume["secret"]["items"]}
                asked.setdefault(volume["secret"]["secretName"], set()).update(keys)
    assert asked == known
    for name, value in environment(rendered).items():
        if re.search("PASSWORD|SECRET|TOKEN", name):
            assert value.startswith("file:"), f"{name} holds a value of its own"


def test_the_settings_are_real(
    rendered: list[Object],
    roles: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in roles:
        (container,) = pods(rendered)[name]["spec"]["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": "hilum"}}]
        own = [each["name"] for each in container["env"] if each["name"].startswith("HILUM_")]
        variables = environment(rendered) | dict.fromkeys(own, "SECRET")
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


def test_in_a_bucket_films_wait_on_a_volume_that_outlives_pods(tmp_path: Path) -> None:
    rendered = render("overlays/s3")
    variables = environment(rendered) | {"HILUM_STORAGE__ACCESS_KEY": "SECRET"}
    loaded = settings.load(environ=variables).settings
    assert loaded.storage_url is not None
    assert loaded.storage.endpoint_url is not None
    assert loaded.storage.endpoint_url.startswith("https://"), "keys and films in the clear"
    for name in ROLES:
        volumes = pods(rendered)[name]["spec"]["volumes"]
        (data,) = [each for each in volumes if each["name"] == "data"]
        assert data["persistentVolumeClaim"]["claimName"] in of_kind(
            rendered, "PersistentVolumeClaim"
        )


def test_the_stores_secret_key_is_a_file_that_its_user_can_read() -> None:
    rendered = render("overlays/s3")
    place = environment(rendered)["HILUM_STORAGE__SECRET_KEY"].removeprefix("file:")
    for name in ROLES:
        spec = pods(rendered)[name]["spec"]
        volumes = {each["name"]: each.get("secret") for each in spec["volumes"]}
        modes = {
            f"{mount['mountPath']}/{item['path']}": volumes[mount["name"]]["defaultMode"]
            for mount in spec["containers"][0]["volumeMounts"]
            if volumes[mount["name"]]
            for item in volumes[mount["name"]]["items"]
        }
        # The file belongs to root and the group `fsGroup`, which the user is in.
        assert modes == {place: 0o440}, name
