"""Films are moved and toned at random, and their boxes with them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.geometry import move_boxes


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far: rotation in degrees, scale and shift as parts of the film, gamma as a factor's log.

    Close to what won the RSNA challenge: scale .15, rotation 6 degrees, gamma, flip, noise.
    """

    rotation: float = 6.0
    scale: float = 0.15
    shift: float = 0.05
    shear: float = 0.04
    gamma: float = 0.35
    contrast: float = 0.2
    noise: float = 6.0
    flip: float = 0.5


def augment(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    rng: np.random.Generator,
    how: Augmentation,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the film (size, size) and its boxes (n, 4) x0, y0, x1, y1 after one random change.

    Boxes are clipped to the film; those that leave it are dropped.
    """
    size = image.shape[0]
    matrix = _move(size, rng, how)
    moved = np.asarray(
        cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8
    )
    found = np.clip(move_boxes(boxes, matrix), 0, size)
    inside = (found[:, 2:] - found[:, :2] >= 4).all(axis=1)
    return _tone(moved, rng, how), found[inside]


def _move(size: int, rng: np.random.Generator, how: Augmentation) -> NDArray[np.float64]:
    angle = np.radians(rng.uniform(-how.rotation, how.rotation))
    zoom = 1 + rng.uniform(-how.scale, how.scale)
    shear = rng.uniform(-how.shear, how.shear)
    mirror = -1.0 if rng.random() < how.flip else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = zoom * turn @ np.array([[mirror, shear], [0.0, 1.0]])
    centre = np.full(2, size / 2)
    offset = centre - linear @ centre + rng.uniform(-how.shift, how.shift, 2) * size
    return np.hstack([linear, offset[:, None]])


def _tone(
    image: NDArray[np.uint8], rng: np.random.Generator, how: Augmentation
) -> NDArray[np.uint8]:
    grey = np.arange(256) / 255
    grey = grey ** np.exp(rng.uniform(-how.gamma, how.gamma))
    grey = (grey - 0.5) * (1 + rng.uniform(-how.contrast, how.contrast)) + 0.5
    grey += rng.uniform(-how.contrast, how.contrast) / 3
    toned = cv2.LUT(image, np.clip(grey * 255, 0, 255).astype(np.float32))
    toned = toned + rng.normal(0, rng.uniform(0, how.noise), image.shape)
    return np.asarray(np.clip(toned, 0, 255), np.uint8)
