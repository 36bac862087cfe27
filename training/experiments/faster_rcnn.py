"""Inference by a detector of the TensorFlow detection zoo, from its SavedModel as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.experiments.weights import WeightsError

FOLDER = "faster_rcnn_nas"
"""Name of the SavedModel's folder in a folder of weights."""
BACKGROUND = 0
"""COCO's label map begins at 1 (person); id 0 is background and no finding."""
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector found on one picture, by falling score.

    `boxes` (n, 4) are x, y, width, height in pixels of the picture, `scores` (n,) 0 to 1, `classes`
    (n,) ids of COCO's label map.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Detector:
    """A loaded SavedModel; `model` is kept as the signature's variables live in it."""

    call: Callable[[tf.Tensor], Mapping[str, tf.Tensor]]
    model: object

    def detect(self, picture: NDArray[np.uint8]) -> Detections:
        """Look for COCO's objects on a picture (rows, columns, 3)."""
        found = {k: np.asarray(v)[0] for k, v in self.call(tf.constant(picture[None])).items()}
        count = int(found["num_detections"])
        rows, columns = picture.shape[:2]
        top, left, bottom, right = found["detection_boxes"][:count].T
        boxes = np.stack(
            [left * columns, top * rows, (right - left) * columns, (bottom - top) * rows], axis=1
        )
        return Detections(
            boxes.astype(np.float32),
            found["detection_scores"][:count].astype(np.float32),
            np.rint(found["detection_classes"][:count]).astype(np.int64),
        )


def load(given: str | None) -> Detector:
    """Load a detector.

    Args:
        given: The SavedModel's folder, or a folder that has it as `FOLDER` (the zoo's archive has
            it as `saved_model`).

    Raises:
        WeightsError: nothing is given, or it is no detector's SavedModel.
    """
    folder = _find(given)
    try:
        model = tf.saved_model.load(str(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        detail = str(error).splitlines()[0]
        raise WeightsError(f"{folder}: this SavedModel cannot be loaded: {detail}") from None
    signature = model.signatures.get("serving_default")
    if signature is None:
        raise WeightsError(f"{folder}: this SavedModel has no signature 'serving_default'")
    missing = [name for name in OUTPUTS if name not in signature.structured_outputs]
    if missing:
        raise WeightsError(
            f"{folder}: this SavedModel gives no {missing[0]!r}: it is no detector of the zoo"
        )
    inputs: dict[str, Any] = signature.structured_input_signature[1]
    if len(inputs) != 1 or next(iter(inputs.values())).dtype != tf.uint8:
        raise WeightsError(f"{folder}: a detector takes one input of uint8, not {list(inputs)}")
    (name,) = inputs
    return Detector(lambda picture: signature(**{name: picture}), model)


def _find(given: str | None) -> Path:
    if given is None or given == "none":
        raise WeightsError(
            "Faster R-CNN (NAS, COCO) is not trained here: give the folder of its SavedModel from"
            " the TensorFlow detection zoo (--weights)"
        )
    root = Path(given)
    for folder in (root, root / "saved_model", root / FOLDER, root / FOLDER / "saved_model"):
        if (folder / "saved_model.pb").is_file():
            return folder
    raise WeightsError(f"{root}: no SavedModel there (saved_model.pb), nor in {root / FOLDER}")
