"""Frontal films changed so that they are to be refused, or so that they are still to be read.

A film here is (side, side) uint8, air dark, as the network sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.pixels import stretch

Picture = NDArray[np.uint8]
Change = Callable[[Picture, np.random.Generator], Picture]


def turned(film: Picture, rng: np.random.Generator) -> Picture:
    """On its side, on its head, or upside down as in a mirror; now and then far out of line."""
    way = int(rng.integers(5))
    if way < 3:
        return np.ascontiguousarray(np.rot90(film, way + 1))
    if way == 3:
        return np.ascontiguousarray(np.flipud(film))
    return _warped(film, angle=rng.uniform(40, 320))


def inverted(film: Picture, rng: np.random.Generator) -> Picture:
    """Air bright and bone dark; the bars beside the film stay black now and then."""
    negative = np.asarray(255 - film, np.uint8)
    if rng.random() < 0.5:
        negative[:, film.max(axis=0) == 0] = 0
        negative[film.max(axis=1) == 0] = 0
    return negative


def folded(film: Picture, rng: np.random.Generator) -> Picture:
    """Something like a lateral film: both halves of a film laid over each other and stretched.

    The spine comes to stand at one edge of a single field of lung, as on a lateral film.
    """
    side = film.shape[0]
    middle = int(side * rng.uniform(0.46, 0.54))
    wide = int(side * rng.uniform(0.55, 0.85))
    right, left = film[:, :middle], film[:, middle - side // 16 :][:, ::-1]
    share = rng.uniform(0.25, 0.75)
    halves = [cv2.resize(np.ascontiguousarray(half), (wide, side)) for half in (right, left)]
    over = cv2.addWeighted(halves[0], share, halves[1], 1 - share, 0)
    picture = np.zeros_like(film)
    start = int(rng.integers(0, side - wide + 1))
    picture[:, start : start + wide] = over
    return picture if rng.random() < 0.5 else np.ascontiguousarray(picture[:, ::-1])


def corner(film: Picture, rng: np.random.Generator) -> Picture:
    """A small part of a film, enlarged."""
    side = film.shape[0]
    part = int(side * rng.uniform(0.2, 0.42))
    row, column = rng.integers(0, side - part + 1, 2).tolist()
    return _fitted(film[row : row + part, column : column + part], side)


def half(film: Picture, rng: np.random.Generator) -> Picture:
    """The right, left, upper or lower half of a film alone."""
    side = film.shape[0]
    cut = side // 2
    parts = (film[:, :cut], film[:, cut:], film[: int(0.45 * side)], film[int(0.6 * side) :])
    part = parts[int(rng.integers(4))]
    if rng.random() < 0.5:
        return _fitted(part, side)
    picture = np.zeros_like(film)
    picture[: part.shape[0], : part.shape[1]] = part
    return picture


def sheared(film: Picture, rng: np.random.Generator) -> Picture:
    """Skewed far beyond what any machine does."""
    shear = rng.uniform(0.7, 1.3) * rng.choice([-1, 1])
    return _warped(film, shear=float(shear))


def sheet(film: Picture, rng: np.random.Generator) -> Picture:
    """Several small copies on one sheet, as printed or photographed."""
    side = film.shape[0]
    across, down = ((2, 1), (1, 2), (2, 2), (3, 2), (3, 3))[int(rng.integers(5))]
    picture = np.full_like(film, int(rng.choice([0, 40, 255])))
    width, height = side // across, side // down
    small = min(width, height) - int(rng.integers(2, 24)) * side // 512
    copy = cv2.resize(film, (small, small), interpolation=cv2.INTER_AREA)
    for row in range(down):
        for column in range(across):
            top = row * height + (height - small) // 2
            left = column * width + (width - small) // 2
            picture[top : top + small, left : left + small] = (
                copy if rng.random() < 0.7 else copy[:, ::-1]
            )
    return picture


def shuffled(film: Picture, rng: np.random.Generator) -> Picture:
    """Tiles in a wrong order, as of a damaged file."""
    side = film.shape[0]
    count = int(rng.choice([2, 4, 8]))
    tile = side // count
    tiles = [
        film[row : row + tile, column : column + tile]
        for row in range(0, tile * count, tile)
        for column in range(0, tile * count, tile)
    ]
    order = np.roll(rng.permutation(len(tiles)), 1) if count > 2 else np.array([3, 2, 1, 0])
    rows = [
        np.hstack([tiles[i] for i in order[k : k + count]]) for k in range(0, len(order), count)
    ]
    return _fitted(np.vstack(rows), side)


CHANGES: Mapping[str, tuple[str, Change]] = {
    "turned": ("rotated", turned),
    "inverted": ("inverted", inverted),
    "folded": ("lateral", folded),
    "corner": ("not_chest", corner),
    "half": ("not_chest", half),
    "sheared": ("not_chest", sheared),
    "sheet": ("not_chest", sheet),
    "shuffled": ("not_chest", shuffled),
}
"""What makes a film one to be refused, by name: the kind that it becomes, and the change."""


def jittered(picture: Picture, rng: np.random.Generator) -> Picture:
    """Move, tone and degrade a picture within what stays the same kind.

    Half of the pictures are then stretched in grey, as networks may do that read films of any
    window.
    """
    picture = _warped(
        picture,
        angle=rng.uniform(-7, 7),
        zoom=float(np.exp(rng.uniform(-0.16, 0.16))),
        squeeze=float(np.exp(rng.uniform(-0.1, 0.1))),
        shift=rng.uniform(-0.05, 0.05, 2) * picture.shape[0],
    )
    picture = _toned(picture, rng)
    if rng.random() < 0.25:
        picture = _framed(picture, rng)
    if rng.random() < 0.3:
        side = picture.shape[0]
        small = int(side * rng.uniform(0.3, 0.9))
        reduced = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = np.asarray(cv2.resize(reduced, (side, side)), np.uint8)
    if rng.random() < 0.3:
        _, data = cv2.imencode(
            ".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))]
        )
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    if rng.random() < 0.3:
        noisy = picture + rng.normal(0, rng.uniform(1, 10), picture.shape)
        picture = np.asarray(np.clip(noisy, 0, 255), np.uint8)
    return stretched(picture) if rng.random() < 0.5 else picture


def stretched(picture: Picture) -> Picture:
    """Stretch the greys of what lies between black bars as `inference.pixels.stretch` does."""
    rows, columns = (np.flatnonzero(picture.max(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return picture
    shown = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    picture = picture.copy()
    picture[shown] = stretch(np.ascontiguousarray(picture[shown]))
    return picture


def _warped(
    picture: Picture,
    *,
    angle: float = 0.0,
    zoom: float = 1.0,
    squeeze: float = 1.0,
    shear: float = 0.0,
    shift: NDArray[np.floating] | None = None,
) -> Picture:
    side = picture.shape[0]
    matrix = cv2.getRotationMatrix2D((0, 0), angle, zoom)
    matrix[:, :2] = matrix[:, :2] @ np.array([[squeeze, shear], [0.0, 1.0]])
    centre = np.full(2, side / 2)
    matrix[:, 2] = centre - matrix[:, :2] @ centre + (0 if shift is None else shift)
    return np.asarray(cv2.warpAffine(picture, matrix, (side, side)), np.uint8)


def _toned(picture: Picture, rng: np.random.Generator) -> Picture:
    grey = (np.arange(256) / 255) ** np.exp(rng.uniform(-0.6, 0.6))
    low, high = rng.uniform(-0.15, 0.12), rng.uniform(0.85, 1.3)
    grey = np.clip((grey - low) / (high - low), 0, 1)
    toned = cv2.LUT(picture, (grey * 255).astype(np.uint8))
    toned[:, picture.max(axis=0) == 0] = 0
    toned[picture.max(axis=1) == 0] = 0
    return np.asarray(toned, np.uint8)


def _framed(picture: Picture, rng: np.random.Generator) -> Picture:
    """Collimated, or with bars as a film of another shape has them; black or white."""
    picture = picture.copy()
    shade = 255 if rng.random() < 0.25 else 0
    for _ in range(2):
        picture = np.ascontiguousarray(np.rot90(picture))
        edges = (rng.uniform(0, 0.07, 2) * picture.shape[0]).astype(int).tolist()
        picture[:, : edges[0]] = shade
        picture[:, picture.shape[1] - edges[1] :] = shade
    return np.ascontiguousarray(np.rot90(picture, 2))


def _fitted(part: Picture, side: int) -> Picture:
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (side, side)), np.uint8)
