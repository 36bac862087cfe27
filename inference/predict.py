"""The network runs on display images, and what it gives becomes a Reading."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.bundle import NETWORK, Bundle, BundleError, load_golden
from inference.calibration import softmax
from inference.pixels import Letterbox
from inference.reading import Box, Finding, Probabilities, Reading
from inference.suppression import suppress

Runtime = Literal["auto", "tensorflow", "openvino"]
TOLERANCE = 1e-3
"""Greatest difference of a probability or box score between runtimes, and from the golden one."""
TENSORFLOW_CHUNK = 16
"""Most films in one call of TensorFlow; OpenVINO takes each by itself."""

Run = Callable[[NDArray[np.uint8]], dict[str, NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Raw:
    """What the network gives for one image, before calibration and suppression.

    `logits` is (3,) in the order of `bundle.CLASSES`, `boxes` (n, 4) x0, y0, x1, y1 in pixels of
    the network's input, `scores` (n,) the detector's, 0 to 1. Networks may also give `kinds`, (5,)
    logits in the order of `bundle.KINDS`, and `heat`, (h, w) over the input, 0 to 1: where opacity
    is seen.
    """

    logits: NDArray[np.float32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    kinds: NDArray[np.float32] | None = None
    heat: NDArray[np.float32] | None = None


class Predictor:
    """A bundle's network, loaded, warmed up and held against the bundle's golden output.

    `runtime` "auto" takes TensorFlow where there is a GPU, else OpenVINO in float32. `threads` is
    the number of CPU threads, 0 for one per core that this process may use. One thread at a time
    may call `predict`.

    Raises:
        BundleError: the network cannot be loaded or does not give its golden output.
    """

    def __init__(self, bundle: Bundle, *, runtime: Runtime = "auto", threads: int = 0) -> None:
        self.bundle = bundle
        self.input_size = bundle.input_size
        self.runtime = _choose() if runtime == "auto" else runtime
        threads = threads or len(os.sched_getaffinity(0))
        load = LOADERS[self.runtime]
        try:
            self._run = load(bundle.network_path, threads)
        except (RuntimeError, ValueError, OSError) as error:
            raise BundleError(
                f"{bundle.network_path}: {self.runtime} cannot load this network:"
                f" {str(error).strip().splitlines()[0]}; try another worker.runtime or bundle"
            ) from error
        self._check_golden()

    def predict(self, inputs: NDArray[np.uint8]) -> list[Raw]:
        """Read display images.

        Args:
            inputs: (n, size, size) uint8, letterboxed to `input_size`, in MONOCHROME2's sense
                (air dark, bone bright).

        Returns:
            One Raw per image, in the same order.

        Raises:
            ValueError: the shape or type is another.
        """
        size = self.input_size
        if inputs.dtype != np.uint8 or inputs.ndim != 3 or inputs.shape[1:] != (size, size):
            raise ValueError(
                f"inputs must be uint8 (n, {size}, {size}), not {inputs.dtype} {inputs.shape}"
            )
        if not len(inputs):
            return []
        out = self._run(inputs[..., None])
        none = [None] * len(inputs)
        kinds, heat = out.get("kinds", none), out.get("heat", none)
        return list(map(Raw, out["logits"], out["boxes"], out["scores"], kinds, heat))

    def _check_golden(self) -> None:
        golden = load_golden(self.bundle)
        found = self.predict(golden.inputs)
        probabilities = np.stack([softmax(raw.logits) for raw in found])
        scores = np.stack([raw.scores for raw in found])
        outputs: list[tuple[str, NDArray[np.floating], NDArray[np.float32]]] = [
            ("probabilities", probabilities, golden.probabilities),
            ("scores", scores, golden.scores),
        ]
        if golden.kinds is not None:
            logits = [raw.kinds for raw in found if raw.kinds is not None]
            kinds = softmax(np.stack(logits)) if logits else np.zeros(0)
            outputs.append(("kinds", kinds, golden.kinds))
        for name, new, old in outputs:
            if new.shape != old.shape or not np.allclose(new, old, rtol=0, atol=TOLERANCE):
                raise BundleError(
                    f"{self.bundle.path / NETWORK}: on {self.runtime} the golden input does not"
                    f" give the golden {name} (within {TOLERANCE}); try another worker.runtime,"
                    " and if that fails too make the bundle again"
                )


def reading(raw: Raw, letterbox: Letterbox, rows: int, columns: int, bundle: Bundle) -> Reading:
    """Turn the network's output for one image into a Reading at the bundle's operating point.

    Finding and boxes are those of the calibrated probabilities. Where the bundle is set to a site's
    prevalence, probabilities and threshold are then adjusted to it, and keep their order.

    Args:
        raw: The output.
        letterbox: How the image was brought to the network's input.
        rows: Height of the stored image in pixels.
        columns: Width of the stored image in pixels.
        bundle: The bundle that gave `raw`.
    """
    normal, not_normal, opacity = (float(p) for p in bundle.calibration(raw.logits))
    if opacity >= bundle.threshold:
        finding = Finding.OPACITY
    elif not_normal > normal:
        finding = Finding.ABNORMAL
    else:
        finding = Finding.NORMAL
    boxes: list[Box] = []
    if finding is Finding.OPACITY:
        corners, scores = suppress(raw.boxes, raw.scores, opacity, bundle.boxes)
        for corner, score in zip(corners.tolist(), scores.tolist(), strict=True):
            box = _on_image(letterbox, corner, score, rows, columns)
            if box is not None:
                boxes.append(box)
    threshold = bundle.threshold
    if (shift := bundle.prior_shift) is not None:
        adjusted = shift(opacity)
        others = (1 - adjusted) / max(normal + not_normal, np.finfo(float).tiny)
        normal, not_normal, opacity = normal * others, not_normal * others, adjusted
        threshold = shift(threshold)
    return Reading(
        rows=rows,
        columns=columns,
        probabilities=Probabilities(normal, not_normal, opacity),
        pneumonia=opacity,
        boxes=tuple(boxes),
        finding=finding,
        threshold=threshold,
        bundle=bundle.label,
    )


def _on_image(
    letterbox: Letterbox, corner: list[float], score: float, rows: int, columns: int
) -> Box | None:
    """Map a box to the stored image and clip it; None where less than a pixel is left."""
    x0, y0, x1, y1 = letterbox.to_image(*corner)
    x0, x1 = max(x0, 0.0), min(x1, float(columns))
    y0, y1 = max(y0, 0.0), min(y1, float(rows))
    if x1 - x0 < 1 or y1 - y0 < 1:
        return None
    return Box(x0, y0, x1 - x0, y1 - y0, min(max(score, 0.0), 1.0))


def _choose() -> Literal["tensorflow", "openvino"]:
    """Pick TensorFlow where it sees a GPU; it is imported only if there is an NVIDIA device."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return "openvino"
    import tensorflow as tf

    return "tensorflow" if tf.config.list_physical_devices("GPU") else "openvino"


def load_openvino(network: Path, threads: int) -> Run:
    """Load a SavedModel into OpenVINO: what comes back maps (n, ...) inputs to outputs by name."""
    # OpenVINO reports its import to its makers through this module; without it, it uses a stub.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # blocks it
    import openvino

    core = openvino.Core()
    model = core.read_model(network)
    names = [output.any_name for output in model.outputs]
    # Films side by side, each on few threads: threads that share one film wait for each other
    # wherever another process takes a core away, and waiting costs processor time.
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    requests = openvino.AsyncInferQueue(core.compile_model(model, "CPU", options))

    def run(inputs: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        found: list[list[NDArray[np.float32]]] = [[] for _ in inputs]

        def keep(request: openvino.InferRequest, position: int) -> None:
            found[position] = [
                request.get_output_tensor(index).data[0].copy() for index in range(len(names))
            ]

        requests.set_callback(keep)
        for position in range(len(inputs)):
            film = np.ascontiguousarray(inputs[position : position + 1])
            requests.start_async({0: film}, position)
        requests.wait_all()
        return {name: np.stack([each[index] for each in found]) for index, name in enumerate(names)}

    return run


def load_tensorflow(network: Path, threads: int) -> Run:
    """Load a SavedModel into TensorFlow: what comes back maps inputs to outputs by name."""
    import tensorflow as tf

    # TensorFloat-32 rounds to 10 bits, which the golden output would not survive.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    with contextlib.suppress(RuntimeError):  # it is running here already: its threads stay
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    signature = tf.saved_model.load(str(network)).signatures["serving_default"]
    (argument,) = signature.structured_input_signature[1]

    def run(inputs: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        chunks = [
            signature(**{argument: tf.constant(inputs[start : start + TENSORFLOW_CHUNK])})
            for start in range(0, len(inputs), TENSORFLOW_CHUNK)
        ]
        return {name: np.concatenate([each[name].numpy() for each in chunks]) for name in chunks[0]}

    return run


LOADERS: dict[str, Callable[[Path, int], Run]] = {
    "openvino": load_openvino,
    "tensorflow": load_tensorflow,
}
"""What loads a network's SavedModel, on so many threads, by runtime."""
