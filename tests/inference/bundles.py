"""Bundles for tests: small ones whose network is none, and copies of the packaged one that run."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from inference.bundle import DEFAULT_BUNDLE, Bundle, Golden, load_bundle, write_bundle
from inference.manifest import CLASSES, Manifest, OperatingPoint, Suppression, TrainedOn


def manifest(**fields: Any) -> Manifest:
    """Return what a small bundle says, but for `fields`."""
    values: dict[str, Any] = {
        "format": 1,
        "id": "small",
        "version": "1",
        "manufacturer": "Somebody",
        "evaluation_only": True,
        "intended_use": "Tests.",
        "input_size": 64,
        "classes": CLASSES,
        "temperature": 1.5,
        "operating_point": "youden",
        "operating_points": {"youden": OperatingPoint(0.4, 0.8, 0.7)},
        "boxes": Suppression(0.1, 0.3, 0.5, 4, 0.9, True),
        "trained_on": TrainedOn("Nothing.", 0, 0, "0" * 64),
        "metrics": {},
    }
    return Manifest(**{**values, **fields})


def small_bundle(path: Path, *, graph: bytes = b"graph", **fields: Any) -> Bundle:
    """Write a bundle that is whole and true, and whose network cannot be run."""
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network"
        (network / "variables").mkdir(parents=True)
        (network / "saved_model.pb").write_bytes(graph)
        (network / "variables" / "variables.index").write_bytes(b"weights")
        golden = Golden(
            inputs=np.zeros((1, 64, 64), np.uint8),
            probabilities=np.full((1, 3), 1 / 3, np.float32),
            boxes=np.zeros((1, 2, 4), np.float32),
            scores=np.zeros((1, 2), np.float32),
        )
        made = manifest(**fields)
        return write_bundle(path, made, network=network, golden=golden, model_card="# card\n")


def packaged_as(path: Path, identity: str, version: str = "1", **changes: Any) -> Bundle:
    """Copy the packaged bundle under another name; `changes` replace fields of its manifest."""
    shutil.copytree(DEFAULT_BUNDLE, path)
    file = path / "bundle.json"
    document = json.loads(file.read_text())
    document |= {"id": identity, "version": version, **changes}
    file.write_text(json.dumps(document))
    return load_bundle(path)
