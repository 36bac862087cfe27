"""Opacities of one film on another: more films with boxes from few.

A patch of the donor's film is laid on another film at the place that it had, softly, through an
ellipse with a wide rim, and as bright as the rim of what was there (copy-paste augmentation, after
Dwibedi et al. 2017). Lest the network learn the seam instead of the opacity, patches of ordinary
lung are pasted in the same way and change no label.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MARGIN = 0.15
"""Width of the soft rim outside a box, as part of its sides."""

Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]


def paste(film: Image, donor: Image, boxes: Boxes, rng: np.random.Generator) -> tuple[Image, Boxes]:
    """Lay the donor's `boxes` on `film`; both are (size, size), MONOCHROME2's sense.

    All boxes move and scale together, a little, at random.

    Returns:
        The new film and the boxes (n, 4) x0, y0, x1, y1 as they lie on it, clipped to it.
    """
    size = film.shape[0]
    zoom = rng.uniform(0.85, 1.15)
    centre = np.full(2, size / 2)
    shift = rng.uniform(-0.03, 0.03, 2) * size
    matrix = np.hstack([np.eye(2) * zoom, (centre - zoom * centre + shift)[:, None]])
    moved = cv2.warpAffine(donor, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    placed = np.clip(boxes * zoom + np.tile(matrix[:, 2], 2), 0, size).astype(np.float32)
    result = film.astype(np.float32)
    for box in placed:
        mask, rim = _ellipse(size, box)
        weight = rim.sum()
        if weight < 1:
            continue
        offset = (rim * (result - moved)).sum() / weight
        result += mask * (moved + offset - result)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8), placed


def ordinary_patches(boxes: Boxes, size: int, rng: np.random.Generator) -> Boxes:
    """Make boxes of a usual size and place for a film without opacity: one or two, in the lungs.

    `boxes` are the opacities of other films, (n, 4), whose sizes and places are taken; without
    any, boxes are made up.
    """
    count = int(rng.integers(1, 3))
    if len(boxes):
        picked = boxes[rng.integers(len(boxes), size=count)].copy()
        mirrored = rng.random(count) < 0.5
        picked[mirrored] = (size - picked[mirrored])[:, [2, 1, 0, 3]] * [1, 0, 1, 0] + picked[
            mirrored
        ] * [0, 1, 0, 1]
        return picked.astype(np.float32)
    sides = rng.uniform(0.15, 0.35, (count, 2)) * size
    corner = rng.uniform(0.15, 0.5, (count, 2)) * size
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)


def _ellipse(size: int, box: Boxes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The soft mask of a box, 1 inside, and the weight of the ring about it."""
    centre = (box[:2] + box[2:]) / 2
    half = np.maximum((box[2:] - box[:2]) / 2, 1)
    axis = np.arange(size, dtype=np.float32) + 0.5
    x, y = (axis - centre[0]) / half[0], (axis - centre[1]) / half[1]
    # A superellipse of the fourth order: close to the box, without its corners.
    away = (x[None, :] ** 4 + y[:, None] ** 4) ** 0.25
    mask = np.clip((1 + MARGIN - away) / (2 * MARGIN), 0, 1)
    mask = mask * mask * (3 - 2 * mask)
    return mask, ((away > 1) & (away < 1 + 2 * MARGIN)).astype(np.float32)
