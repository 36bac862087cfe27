"""What `kubectl kustomize` makes of deploy/kubernetes, and what is asked of it."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import Any

import yaml

from tests import peers
from tests.peers import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"

Object = dict[str, Any]


@cache
def render(folder: str) -> list[Object]:
    """Return the objects that a folder of deploy/kubernetes gives to the cluster."""
    (kubectl,) = peers.require("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", str(FOLDER / folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of this kind, by name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: list[Object]) -> dict[str, Object]:
    """Return what pods are made from, by the name of what makes them; Ray's by their group."""
    made = of_kind(objects, "Deployment") | of_kind(objects, "StatefulSet")
    found = {name: each["spec"]["template"] for name, each in made.items()}
    for cluster in of_kind(objects, "RayCluster").values():
        found["ray-head"] = cluster["spec"]["headGroupSpec"]["template"]
        for group in cluster["spec"]["workerGroupSpecs"]:
            found[f"ray-{group['groupName']}"] = group["template"]
    return found


def containers(objects: list[Object]) -> list[Object]:
    """Return all containers, sidecars among them."""
    specs = [pod["spec"] for pod in pods(objects).values()]
    return [
        each for spec in specs for each in [*spec.get("initContainers", []), *spec["containers"]]
    ]


def environment(objects: list[Object]) -> dict[str, str]:
    """Return the settings that all roles get."""
    found: dict[str, str] = of_kind(objects, "ConfigMap")["hilum"]["data"]
    return found
