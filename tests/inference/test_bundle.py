"""A bundle that is not whole and true is refused, and the message names what is wrong."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.bundle import (
    DEFAULT_BUNDLE,
    MODEL_CARD_HTML,
    OUT_OF_FOLD,
    BundleError,
    Golden,
    device,
    load_bundle,
    load_golden,
    load_out_of_fold,
    write_bundle,
)
from inference.kept import Known, OutOfFold
from inference.manifest import Manifest, OperatingPoint, Suppression
from tests.inference.bundles import manifest

GOLDEN = Golden(
    inputs=np.zeros((1, 64, 64), np.uint8),
    probabilities=np.full((1, 3), 1 / 3, np.float32),
    boxes=np.zeros((1, 2, 4), np.float32),
    scores=np.zeros((1, 2), np.float32),
)


def kept() -> OutOfFold:
    """Predictions for two films, with two candidates and none."""
    return OutOfFold(
        size=64,
        films=np.array(["a" * 32, "b" * 32]),
        folds=np.array([0, 1], np.int16),
        logits=np.array([[0, 1, 2], [2, 1, 0]], np.float32),
        counts=np.array([2, 0], np.int32),
        boxes=np.array([[1, 2, 30, 40], [5, 5, 20, 20]], np.float16),
        scores=np.array([0.9, 0.5], np.float16),
        known=Known(
            labels=np.array([2, 0], np.int8),
            box_counts=np.array([1, -1], np.int16),
            boxes=np.array([[1, 2, 30, 41]], np.float32),
            patients=np.array(["c" * 32, "d" * 32]),
            views=np.array(["AP", ""]),
            sexes=np.array(["F", "M"]),
            ages=np.array(["41-60", ""]),
            sources=np.array(["rsna", "nih"]),
            intensity=np.array([99.5, 120], np.float32),
        ),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle whose network is not a network: loading must not depend on running it."""
    network = tmp_path / "network"
    (network / "variables").mkdir(parents=True)
    (network / "saved_model.pb").write_bytes(b"graph")
    (network / "variables" / "variables.index").write_bytes(b"weights")
    path = tmp_path / "bundle"
    write_bundle(path, manifest(), network=network, golden=GOLDEN, model_card="# card\n")
    return path


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((folder / "bundle.json").read_text())
    change(document)
    (folder / "bundle.json").write_text(json.dumps(document))


def test_what_is_written_is_what_is_read(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert (bundle.id, bundle.version, bundle.label) == ("small", "1", "small 1")
    assert bundle.threshold == 0.4
    assert bundle.boxes == Suppression(0.1, 0.3, 0.5, 4, 0.9, True)
    assert set(bundle.files) == {
        "golden.npz",
        "model_card.md",
        "network/saved_model.pb",
        "network/variables/variables.index",
    }
    assert load_golden(bundle).inputs.shape == (1, 64, 64)


def test_the_packaged_default_is_whole_and_for_evaluation_only() -> None:
    bundle = load_bundle()
    assert bundle.path == DEFAULT_BUNDLE
    assert bundle.evaluation_only
    assert "not for clinical use" in bundle.intended_use.lower()
    assert {"opacity_auc", "challenge_score", "challenge_score_constant_boxes"} <= set(
        bundle.metrics
    )
    for metric in bundle.metrics.values():
        assert metric.low <= metric.value <= metric.high
    total = sum((bundle.path / name).stat().st_size for name in bundle.files)
    assert total < 20_000_000


def test_the_default_model_card_says_the_measured_figures() -> None:
    bundle = load_bundle()
    card = (bundle.path / "model_card.md").read_text()
    assert "For evaluation only, not for clinical use" in card
    for name, metric in bundle.metrics.items():
        assert f"| {name} | {metric.value:.3f} | {metric.low:.3f} to {metric.high:.3f} |" in card


@pytest.mark.parametrize(
    "name", ["network/saved_model.pb", "network/variables/variables.index", "golden.npz"]
)
def test_an_altered_file_is_named(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[0] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name}: its SHA-256"):
        load_bundle(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "golden.npz").unlink()
    with pytest.raises(BundleError, match=r"golden\.npz: this file of the bundle is missing"):
        load_bundle(folder)


def test_a_file_of_the_network_without_a_digest_is_refused(folder: Path) -> None:
    (folder / "network" / "variables" / "more").write_bytes(b"?")
    with pytest.raises(BundleError, match="variables/more: this file is not listed"):
        load_bundle(folder)


def test_leaving_the_network_unlisted_does_not_escape_its_digest(folder: Path) -> None:
    edit(folder, lambda document: document["files"].pop("network/saved_model.pb"))
    with pytest.raises(BundleError, match=r"files: network/saved_model\.pb is not listed"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "network/../../outside"])
def test_a_file_outside_the_bundle_is_refused(folder: Path, name: str) -> None:
    edit(folder, lambda document: document["files"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match="leaves the bundle"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "field",
    [
        f.name
        for f in dataclasses.fields(Manifest)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ],
)
def test_a_missing_field_is_named(folder: Path, field: str) -> None:
    edit(folder, lambda document: document.pop(field))
    with pytest.raises(BundleError, match=rf"bundle\.json: {field}: "):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("format", 2, "format"),
        ("input_size", 500, "input_size"),
        ("temperature", 0, "temperature"),
        ("classes", ["normal", "lung_opacity", "not_normal"], r"classes\.1"),
        ("boxes", {"score": 2}, r"boxes\.score"),
        ("operating_point", "best", "operating_point"),
        ("id", "no spaces please", "id"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, field: str, value: object, named: str) -> None:
    def change(document: dict[str, Any]) -> None:
        if isinstance(value, dict):
            document[field].update(value)
        else:
            document[field] = value

    edit(folder, change)
    with pytest.raises(BundleError, match=rf"bundle\.json: {named}: "):
        load_bundle(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"text"'])
def test_a_manifest_that_is_no_object_is_refused(folder: Path, text: str) -> None:
    (folder / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_bundle(folder)


def test_a_missing_bundle_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere: no readable bundle\.json .* worker\.bundle"):
        load_bundle(tmp_path / "nowhere")


def test_a_golden_input_of_another_size_is_refused(folder: Path) -> None:
    edit(folder, lambda document: document.update(input_size=96))
    with pytest.raises(BundleError, match=r"golden\.npz: holds no input of input_size 96"):
        load_golden(load_bundle(folder))


def test_writing_never_replaces_what_is_no_bundle(tmp_path: Path, folder: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is not a bundle"):
        write_bundle(precious, manifest(), network=folder / "network", golden=GOLDEN, model_card="")
    assert (precious / "thesis.txt").exists()


def test_the_device_uid_changes_with_model_and_configuration_alone(
    tmp_path: Path, folder: Path
) -> None:
    bundle = load_bundle(folder)
    first = device(bundle)
    assert first.uid.startswith("2.25.")
    assert len(first.uid) <= 64
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert device(load_bundle(copy)) == first

    point = {"youden": OperatingPoint(0.5, 0.8, 0.7)}
    others = [
        dataclasses.replace(bundle, id="other"),
        dataclasses.replace(bundle, version="4"),
        dataclasses.replace(bundle, temperature=1.6),
        dataclasses.replace(bundle, operating_points=point),
        dataclasses.replace(bundle, boxes=dataclasses.replace(bundle.boxes, shrink=1.0)),
        dataclasses.replace(bundle, files={**bundle.files, "network/saved_model.pb": "1" * 64}),
    ]
    assert len({first.uid, *(device(other).uid for other in others)}) == len(others) + 1
    reworded = dataclasses.replace(bundle, intended_use="Other words.")
    assert device(reworded).uid == first.uid


def test_out_of_fold_predictions_and_the_page_are_kept_and_listed(
    folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "full"
    write_bundle(
        path,
        manifest(),
        network=folder / "network",
        golden=GOLDEN,
        model_card="# card\n",
        model_card_html="<!doctype html><p>card</p>",
        out_of_fold=kept(),
    )
    bundle = load_bundle(path)
    assert {MODEL_CARD_HTML, OUT_OF_FOLD} <= set(bundle.files)
    assert (path / MODEL_CARD_HTML).read_text() == "<!doctype html><p>card</p>"
    found, wanted = load_out_of_fold(bundle), kept()
    assert found is not None
    assert found.known is not None
    assert wanted.known is not None
    assert found.size == 64
    for a, b in ((found, wanted), (found.known, wanted.known)):
        for each in dataclasses.fields(a):
            if each.name not in ("known", "size"):
                assert np.array_equal(getattr(a, each.name), getattr(b, each.name)), each.name


def test_a_bundle_without_out_of_fold_predictions_says_so_by_none(folder: Path) -> None:
    assert load_out_of_fold(load_bundle(folder)) is None


def test_out_of_fold_predictions_that_do_not_fit_together_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    wrong = dataclasses.replace(kept(), scores=np.array([0.5], np.float16))
    path = tmp_path / "wrong"
    write_bundle(
        path,
        manifest(),
        network=folder / "network",
        golden=GOLDEN,
        model_card="",
        out_of_fold=wrong,
    )
    with pytest.raises(BundleError, match=r"out_of_fold\.npz: cannot be read: .* fit together"):
        load_out_of_fold(load_bundle(path))
