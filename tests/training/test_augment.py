"""Boxes go where the pixels go."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.suppression import iou
from training.augment import Augmentation, augment
from training.geometry import move_boxes


def square_film() -> tuple[np.ndarray, np.ndarray]:
    """A film that is black but for one bright square, off centre."""
    image = np.zeros((256, 256), np.uint8)
    image[60:110, 140:190] = 255
    return image, np.array([[140, 60, 190, 110]], np.float32)


@pytest.mark.parametrize("seed", range(25))
def test_the_box_stays_on_what_it_was_drawn_around(seed: int) -> None:
    image, boxes = square_film()
    how = Augmentation(gamma=0, contrast=0, noise=0)
    moved, found = augment(image, boxes, np.random.default_rng(seed), how)
    y, x = np.nonzero(moved > 127)
    bright = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]])
    assert iou(found, bright)[0, 0] > 0.85


def test_flipping_alone_mirrors_exactly() -> None:
    image, boxes = square_film()
    how = Augmentation(0, 0, 0, 0, 0, 0, 0, flip=1.0)
    moved, found = augment(image, boxes, np.random.default_rng(0), how)
    assert np.abs(found - [[66, 60, 116, 110]]).max() < 1e-3
    assert (moved[60:110, 67:115] == 255).all()


def test_nothing_asked_nothing_changed() -> None:
    image, boxes = square_film()
    how = Augmentation(0, 0, 0, 0, 0, 0, 0, 0)
    moved, found = augment(image, boxes, np.random.default_rng(0), how)
    assert (moved == image).all()
    assert np.abs(found - boxes).max() < 1e-3


def test_a_turned_box_does_not_grow_to_the_hull_of_its_corners() -> None:
    turn = cv2.getRotationMatrix2D((128, 128), 20, 1.0)
    (found,) = move_boxes(np.array([[78, 78, 178, 178]], np.float32), turn)
    hull = 100 * (np.cos(np.radians(20)) + np.sin(np.radians(20)))
    assert 100 < found[2] - found[0] < 0.9 * hull


def test_boxes_that_leave_the_film_are_dropped_and_others_clipped() -> None:
    image = np.zeros((100, 100), np.uint8)
    boxes = np.array([[0, 40, 3, 60], [40, 40, 100, 60]], np.float32)
    how = Augmentation(0, 0, 0.2, 0, 0, 0, 0, 0)
    for seed in range(20):
        _, found = augment(image, boxes, np.random.default_rng(seed), how)
        assert (found >= 0).all()
        assert (found <= 100).all()
        assert (found[:, 2:] - found[:, :2] >= 4).all()


def test_the_same_seed_gives_the_same_film() -> None:
    image, boxes = square_film()
    one, other = (augment(image, boxes, np.random.default_rng(4), Augmentation()) for _ in "ab")
    assert (one[0] == other[0]).all()
    assert (one[1] == other[1]).all()


def test_no_boxes_give_no_boxes() -> None:
    image, _ = square_film()
    none = np.zeros((0, 4), np.float32)
    assert augment(image, none, np.random.default_rng(0), Augmentation())[1].shape == (0, 4)
