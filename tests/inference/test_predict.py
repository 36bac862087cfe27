"""The same bundle gives the same reading on either runtime, or says that it does not."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference import predict
from inference.bundle import Bundle, BundleError, load_bundle, load_golden, write_bundle
from inference.calibration import softmax
from inference.manifest import KINDS, FilmKinds, Manifest, OperatingPoint, Suppression
from inference.pixels import letterbox
from inference.predict import Predictor, Raw, reading
from inference.reading import Finding
from training.phantoms import phantom


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


@pytest.fixture(scope="module")
def openvino(bundle: Bundle) -> Predictor:
    return Predictor(bundle, runtime="openvino")


@pytest.fixture(scope="module")
def films(bundle: Bundle) -> NDArray[np.uint8]:
    kinds = ("normal", "opacity", "abnormal", "lateral", "not_chest")
    size = bundle.input_size
    return np.stack(
        [phantom(np.random.default_rng(7), kind=kind, size=size).image for kind in kinds]
    )


def test_tensorflow_and_openvino_agree(
    bundle: Bundle,
    openvino: Predictor,
    films: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict, "TENSORFLOW_CHUNK", len(films) - 1)
    one = openvino.predict(films)
    other = Predictor(bundle, runtime="tensorflow").predict(films)
    for a, b in zip(one, other, strict=True):
        assert np.abs(softmax(a.logits) - softmax(b.logits)).max() < 1e-3
        assert np.abs(a.scores - b.scores).max() < 1e-3
        assert np.abs(a.boxes - b.boxes).max() < 0.5


def test_a_films_output_does_not_depend_on_the_films_beside_it(
    openvino: Predictor, films: NDArray[np.uint8]
) -> None:
    together = openvino.predict(films)
    assert len(together) == len(films)
    for film, raw in zip(films, together, strict=True):
        (alone,) = openvino.predict(film[None])
        assert np.abs(alone.logits - raw.logits).max() < 1e-4
        assert np.abs(alone.scores - raw.scores).max() < 1e-4


def test_outputs_of_an_earlier_call_stay_as_they_were(
    openvino: Predictor, films: NDArray[np.uint8]
) -> None:
    (first,) = openvino.predict(films[:1])
    kept = first.logits.copy()
    openvino.predict(films[1:2])
    assert np.array_equal(first.logits, kept)


def test_no_films_give_no_output(openvino: Predictor) -> None:
    size = openvino.input_size
    assert openvino.predict(np.zeros((0, size, size), np.uint8)) == []


@pytest.mark.parametrize("wrong", ["type", "size", "channel"])
def test_inputs_of_another_kind_are_refused(openvino: Predictor, wrong: str) -> None:
    size = openvino.input_size
    inputs = {
        "type": np.zeros((1, size, size), np.float32),
        "size": np.zeros((1, size, size - 1), np.uint8),
        "channel": np.zeros((1, size, size, 1), np.uint8),
    }[wrong]
    with pytest.raises(ValueError, match=f"uint8 \\(n, {size}, {size}\\)"):
        openvino.predict(inputs)  # type: ignore[arg-type]  # that is the test


def test_a_network_that_does_not_tell_the_kinds_of_its_bundle_is_refused(
    bundle: Bundle, tmp_path: Path
) -> None:
    """A bundle that claims to check pictures must not quietly check none."""
    values = {f.name: getattr(bundle, f.name) for f in fields(Manifest)}
    values["film_kinds"] = FilmKinds(KINDS, 0.5, 0.9, {})
    golden = load_golden(bundle)
    even = np.full((len(golden.inputs), len(KINDS)), 1 / len(KINDS), np.float32)
    claimed = write_bundle(
        tmp_path / "bundle",
        Manifest(**values),
        network=bundle.network_path,
        golden=replace(golden, kinds=even),
        model_card="# card",
    )
    assert np.array_equal(load_golden(claimed).kinds, even)
    with pytest.raises(BundleError, match="does not give the golden kinds"):
        Predictor(claimed, runtime="openvino")


@pytest.mark.parametrize("name", ["probabilities", "scores"])
def test_a_network_that_misses_its_golden_output_is_refused(
    bundle: Bundle, tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(bundle.path, tmp_path / "bundle")
    with np.load(folder / "golden.npz") as file:
        arrays = dict(file)
    arrays[name] = arrays[name] + np.float32(0.002)
    np.savez_compressed(folder / "golden.npz", **arrays)
    document = json.loads((folder / "bundle.json").read_text())
    digest = hashlib.sha256((folder / "golden.npz").read_bytes()).hexdigest()
    document["files"]["golden.npz"] = digest
    (folder / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match=f"golden input does not give the golden {name}"):
        Predictor(load_bundle(folder), runtime="openvino")


def test_a_network_that_cannot_be_loaded_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle.path, tmp_path / "bundle")
    (folder / "network" / "saved_model.pb").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match="openvino cannot load this network"):
        Predictor(replace(bundle, path=folder), runtime="openvino")


# Binding a socket, as urllib3 does when it is imported to learn of IPv6, calls nobody.
_ALONE = """
import sys
OUTWARD = {
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
    "subprocess.Popen",
}
calls = []
def watch(event, args):
    if event in OUTWARD:
        calls.append(event)
sys.addaudithook(watch)
from inference.bundle import load_bundle
from inference.predict import Predictor
predictor = Predictor(load_bundle(), runtime="auto")
heavy = {"tensorflow", "keras"} & set(sys.modules)
telemetry = [name for name in sys.modules if name.startswith("openvino_telemetry.")]
print(predictor.runtime, sorted(heavy), telemetry, calls)
"""


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="auto means the GPU here")
def test_on_a_cpu_openvino_runs_without_tensorflow_and_calls_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ALONE],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "openvino [] [] []"


def raw(logits: tuple[float, float, float], *boxes: tuple[float, ...]) -> Raw:
    """Network output with the given boxes x0, y0, x1, y1, score."""
    found = np.array(boxes, np.float32).reshape(-1, 5)
    return Raw(np.array(logits, np.float32), found[:, :4], found[:, 4])


def at(bundle: Bundle, threshold: float) -> Bundle:
    rule = Suppression(
        score=0.2, iou=0.3, relative_score=0.5, most=4, shrink=1.0, times_opacity=False
    )
    points = {"youden": OperatingPoint(threshold, 1, 1)}
    return replace(
        bundle,
        temperature=1.0,
        biases=(0.0, 0.0, 0.0),
        operating_point="youden",
        operating_points=points,
        boxes=rule,
    )


def test_boxes_come_back_in_pixels_of_the_full_image(bundle: Bundle) -> None:
    rows, columns = 2000, 1000
    size = bundle.input_size
    _, box = letterbox(np.zeros((rows, columns), np.uint8), size)
    x0, y0, x1, y1 = box.to_input(100, 400, 600, 1300)
    film = reading(raw((0, 0, 9), (x0, y0, x1, y1, 0.8)), box, rows, columns, at(bundle, 0.5))
    (found,) = film.boxes
    assert (found.x, found.y) == pytest.approx((100, 400), abs=0.01)
    assert (found.width, found.height) == pytest.approx((500, 900), abs=0.01)
    assert found.score == pytest.approx(0.8)
    assert (film.rows, film.columns, film.bundle) == (rows, columns, bundle.label)


def test_boxes_are_clipped_to_the_image_and_those_outside_it_dropped(bundle: Bundle) -> None:
    rows, columns = 2000, 1000
    size = bundle.input_size
    _, box = letterbox(np.zeros((rows, columns), np.uint8), size)
    over_the_edge = (*box.to_input(-50, 1900, 300, 2000), 0.9)
    in_the_bar = (*box.to_input(-600, 100, -10, 500), 0.8)
    film = reading(raw((0, 0, 9), over_the_edge, in_the_bar), box, rows, columns, at(bundle, 0.5))
    (found,) = film.boxes
    assert (found.x, found.x + found.width) == pytest.approx((0, 300), abs=0.01)
    assert found.y + found.height <= rows


@pytest.mark.parametrize(
    ("logits", "threshold", "finding"),
    [
        ((0, 0, 0), 1 / 3, Finding.OPACITY),  # exactly at the operating point is positive
        ((0, 0, 0), 0.34, Finding.NORMAL),  # as probable as not normal: normal
        ((0, 0.1, 0), 0.5, Finding.ABNORMAL),
        ((2, 0, 1.9), 0.4, Finding.OPACITY),  # below normal, and yet at the operating point
    ],
)
def test_the_finding_is_decided_at_the_operating_point(
    bundle: Bundle, logits: tuple[float, float, float], threshold: float, finding: Finding
) -> None:
    _, box = letterbox(np.zeros((512, 512), np.uint8), bundle.input_size)
    film = reading(raw(logits, (10, 10, 90, 90, 0.9)), box, 512, 512, at(bundle, threshold))
    assert film.finding is finding
    assert bool(film.boxes) == (finding is Finding.OPACITY)
    assert film.pneumonia == film.probabilities.lung_opacity
    p = film.probabilities
    assert p.normal + p.not_normal + p.lung_opacity == pytest.approx(1)


def test_temperature_softens_the_probabilities(bundle: Bundle) -> None:
    _, box = letterbox(np.zeros((512, 512), np.uint8), bundle.input_size)
    sharp = reading(raw((0, 0, 2)), box, 512, 512, at(bundle, 0.5))
    soft = reading(raw((0, 0, 2)), box, 512, 512, replace(at(bundle, 0.5), temperature=2.0))
    assert sharp.pneumonia == pytest.approx(np.e**2 / (2 + np.e**2))
    assert soft.pneumonia == pytest.approx(np.e / (2 + np.e))
