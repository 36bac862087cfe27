"""Films move as Keras's ImageDataGenerator moves them, and no farther than the report says."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import tensorflow as tf

from training.experiments.augment import draw, move
from training.experiments.spec import Augmentation

REPORT = Augmentation()
SEED = tf.constant([1, 2], tf.int64)


def smooth(side: int) -> np.ndarray:
    y, x = np.mgrid[0:side, 0:side] / side
    return np.uint8(127 + 60 * np.sin(5 * x) + 60 * np.cos(4 * y + x))


def by_keras(picture: np.ndarray, moves: list[float]) -> np.ndarray:
    """Move by ImageDataGenerator, which takes angles in degrees and shifts in pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from keras.src.legacy.preprocessing.image import ImageDataGenerator

        turn, right, down, shear, zoom_right, zoom_down, mirrored = moves
        side = picture.shape[0]
        how = {
            "theta": math.degrees(turn), "tx": right * side, "ty": down * side,
            "shear": math.degrees(shear), "zx": zoom_right, "zy": zoom_down,
            "flip_horizontal": bool(mirrored),
        }  # fmt: skip
        generator = ImageDataGenerator(fill_mode="nearest")
        return generator.apply_transform(picture[..., None].astype(np.float32), how)[..., 0]


@pytest.mark.parametrize(
    "moves",
    [
        [0, 0, 0, 0, 1, 1, 0],
        [0.3, 0, 0, 0, 1, 1, 0],
        [0, 0.2, 0, 0, 1, 1, 0],
        [0, 0, -0.2, 0, 1, 1, 0],
        [0.3, 0.1, 0.2, 0, 1, 1, 1],
        [0, 0, 0, 0.4, 1, 1, 0],
        [0, 0, 0, 0, 0.8, 1.2, 0],
        [0, 0, 0, 0, 1, 1, 1],
        [-0.25, 0.13, -0.07, 0.2, 1.15, 0.85, 1],
    ],
)
def test_a_move_is_the_one_that_keras_makes(moves: list[float]) -> None:
    picture = smooth(64)
    found = move(tf.constant(picture[None, ..., None]), tf.constant([moves], tf.float32))
    ours = found.numpy()[0, ..., 0].astype(float)
    assert np.abs(ours - by_keras(picture, moves)).max() <= 1.5


def test_the_reports_parameters_are_the_defaults() -> None:
    assert (REPORT.rotation, REPORT.width_shift, REPORT.height_shift) == (20, 0.2, 0.2)
    assert (REPORT.shear, REPORT.zoom, REPORT.flip, REPORT.fill) == (0.2, 0.2, True, "nearest")


def test_draws_fill_the_reports_ranges_and_stay_in_them() -> None:
    drawn = draw(4000, REPORT, SEED).numpy()
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    turn, shear = math.radians(20), math.radians(0.2)
    for column, (least, most) in enumerate(
        [(-turn, turn), (-0.2, 0.2), (-0.2, 0.2), (-shear, shear), (0.8, 1.2), (0.8, 1.2), (0, 1)]
    ):
        span = most - least
        assert least - 1e-6 <= low[column] <= least + 0.01 * span
        assert most - 0.01 * span <= high[column] <= most + 1e-6
    assert set(drawn[:, 6]) == {0.0, 1.0}
    assert drawn[:, 6].mean() == pytest.approx(0.5, abs=0.05)
    # Each is drawn by itself: zoom down is not zoom right.
    assert abs(np.corrcoef(drawn[:, :6].T) - np.eye(6)).max() < 0.08


def test_a_seed_gives_its_moves_and_another_gives_others() -> None:
    one, same = draw(5, REPORT, SEED).numpy(), draw(5, REPORT, SEED).numpy()
    other = draw(5, REPORT, tf.constant([1, 3], tf.int64)).numpy()
    assert (one == same).all()
    assert (one != other).any()


def test_nothing_moves_where_nothing_may() -> None:
    still = Augmentation(rotation=0, width_shift=0, height_shift=0, shear=0, zoom=0, flip=False)
    pictures = tf.constant(np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), np.uint8))
    assert (move(pictures, draw(3, still, SEED)) == pictures).numpy().all()


def test_what_comes_in_from_outside_is_the_nearest_edge() -> None:
    picture = np.zeros((1, 16, 16, 1), np.uint8)
    picture[:, :, 0] = 200
    shifted = move(tf.constant(picture), tf.constant([[0, -0.5, 0, 0, 1, 1, 0]], tf.float32))
    assert (shifted.numpy()[0, :, :8, 0] == 200).all()
    assert (shifted.numpy()[0, :, 9:, 0] == 0).all()
