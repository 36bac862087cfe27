"""A detector's SavedModel is read by its signature, and anything else is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from training.experiments.faster_rcnn import OUTPUTS, Detector, load
from training.experiments.weights import WeightsError


class Tiny(tf.Module):
    """Finds the brightest pixel's quarter of the picture, and something below it."""

    def __init__(self, outputs: Sequence[str] = OUTPUTS) -> None:
        super().__init__()
        self.outputs = outputs
        self.top_score = tf.Variable(0.9)

    def look(self, input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        size = tf.shape(input_tensor)
        brightest = tf.argmax(tf.reshape(input_tensor[0, :, :, 0], [-1]), output_type=tf.int32)
        row = tf.cast(2 * (brightest // size[2]) // size[1], tf.float32) / 2
        column = tf.cast(2 * (brightest % size[2]) // size[2], tf.float32) / 2
        box = tf.stack([row, column, row + 0.5, column + 0.5])
        found = {
            "detection_boxes": tf.stack([box, box * 0.5, tf.zeros(4)])[None],
            "detection_scores": tf.stack([self.top_score, 0.25, 0.0])[None],
            "detection_classes": tf.constant([[1.0, 84.0, 1.0]]),
            "num_detections": tf.constant([2.0]),
        }
        return {name: found[name] for name in self.outputs}


def save(folder: Path, module: Tiny, dtype: tf.DType = tf.uint8) -> Path:
    spec = tf.TensorSpec((1, None, None, 3), dtype, name="input_tensor")
    function = tf.function(module.look, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("zoo") / "saved_model", Tiny())


def picture() -> np.ndarray:
    made = np.zeros((40, 80, 3), np.uint8)
    made[5, 60] = 255  # upper half, right half
    return made


def test_boxes_come_in_pixels_and_only_as_many_as_were_found(saved: Path) -> None:
    found = load(str(saved)).detect(picture())
    assert found.boxes.tolist() == [[40, 0, 40, 20], [20, 0, 20, 10]]
    assert found.scores == pytest.approx([0.9, 0.25])
    assert found.classes.tolist() == [1, 84]


def test_the_folder_is_found_as_the_zoos_archives_have_it(saved: Path, tmp_path: Path) -> None:
    assert isinstance(load(str(saved.parent)), Detector)
    (tmp_path / "faster_rcnn_nas").symlink_to(saved.parent)
    assert isinstance(load(str(tmp_path)), Detector)


def test_without_a_saved_model_it_says_what_is_needed(tmp_path: Path) -> None:
    for nothing in (None, "none"):
        with pytest.raises(WeightsError, match="give the folder of its SavedModel"):
            load(nothing)
    with pytest.raises(WeightsError, match=r"no SavedModel there \(saved_model\.pb\)"):
        load(str(tmp_path))
    (tmp_path / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load(str(tmp_path))


def test_another_networks_saved_model_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "no_scores", Tiny([n for n in OUTPUTS if n != "detection_scores"]))
    with pytest.raises(WeightsError, match="gives no 'detection_scores'"):
        load(str(folder))
    with pytest.raises(WeightsError, match="one input of uint8"):
        load(str(save(tmp_path / "floats", Tiny(), tf.float32)))
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(WeightsError, match="no signature 'serving_default'"):
        load(str(tmp_path / "empty"))
