"""Pictures that are no radiographs at all: slices, fans, screens, textures, patterns, noise.

Each function draws (side, side) uint8 from chance alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from training import anatomy
from training.anatomy import GRID

Picture = NDArray[np.uint8]


def slice_through_body(rng: np.random.Generator) -> Picture:
    """A slice of a chest or belly as of CT or MR: an oval with organs, a table below it."""
    x, y = 256 + rng.normal(0, 12), 250 + rng.normal(0, 12)
    across, down = rng.uniform(150, 240), rng.uniform(110, 180)
    body = anatomy.ellipse((x, y), across, down)
    total = 0.5 * anatomy.fill(body, 3)
    total += rng.uniform(-0.2, 0.35) * anatomy.stroke([*body, body[0]], rng.uniform(8, 28), 3)
    if rng.random() < 0.5:
        for side in (-1, 1):
            centre = (x + side * across * 0.48, y)
            total -= 0.45 * anatomy.fill(anatomy.ellipse(centre, across * 0.36, down * 0.62), 3)
    for _ in range(int(rng.integers(3, 9))):
        centre = (x + rng.uniform(-0.6, 0.6) * across, y + rng.uniform(-0.6, 0.6) * down)
        organ = anatomy.ellipse(centre, rng.uniform(12, 60), rng.uniform(12, 50))
        total += rng.uniform(-0.25, 0.3) * anatomy.fill(organ, 3)
    total += 0.4 * anatomy.fill(anatomy.ellipse((x, y + down * 0.62), 26, 24), 2)
    total -= 0.35 * anatomy.fill(anatomy.ellipse((x, y + down * 0.78), 10, 9), 2)
    if rng.random() < 0.5:
        table = [(60, y + down + 20), (256, y + down + 45), (452, y + down + 20)]
        total += 0.4 * anatomy.stroke(table, 5, 1)
    return _grey(total + rng.uniform(0.005, 0.05) * rng.normal(size=total.shape), rng)


def slice_through_head(rng: np.random.Generator) -> Picture:
    """A slice of a head: skull as a ring, brain with folds and ventricles."""
    outline = anatomy.ellipse((256, 256), rng.uniform(110, 180), rng.uniform(150, 210))
    inside = anatomy.fill(outline, 3)
    total = inside * (0.45 + rng.uniform(0.02, 0.12) * anatomy.cloud(rng, 10, 4))
    total += rng.uniform(0.2, 0.6) * anatomy.stroke([*outline, outline[0]], 14, 2)
    for side in (-1, 1):
        horn = anatomy.ellipse((256 + side * 22, 245), 13, 45)
        total -= rng.uniform(0.1, 0.35) * anatomy.fill(horn, 3)
    return _grey(total + 0.02 * rng.normal(size=total.shape), rng)


def ultrasound(rng: np.random.Generator) -> Picture:
    """A fan or a field of speckle with texts and a grey scale at its side."""
    y, x = np.mgrid[0:GRID, 0:GRID].astype(np.float32)
    top = rng.uniform(20, 90)
    angle, depth = np.arctan2(x - 256, y - top + 1), np.hypot(x - 256, y - top)
    spread = rng.uniform(0.5, 0.9)
    field = (np.abs(angle) < spread) & (depth > 20) & (depth < rng.uniform(330, 440))
    if rng.random() < 0.3:
        field = (np.abs(x - 256) < 170) & (np.abs(y - 250) < 190)
    speckle = np.asarray(rng.rayleigh(0.5, (GRID, GRID)), np.float32)
    layers = 0.5 + 0.4 * np.sin(depth / rng.uniform(8, 60) + 2 * anatomy.cloud(rng, 3, 3))
    shown = cv2.GaussianBlur(speckle, (0, 0), sigmaX=3, sigmaY=1) * layers
    picture = np.asarray(255 * np.clip(shown * field, 0, 1), np.uint8)
    picture[80:230, 480:492] = np.linspace(255, 0, 150, dtype=np.uint8)[:, None]
    return _written(picture, rng, lines=int(rng.integers(1, 6)))


def screen_of_text(rng: np.random.Generator) -> Picture:
    """A page or a screen of words, dark on bright or bright on dark."""
    picture = np.full((GRID, GRID), rng.integers(0, 40), np.uint8)
    for _ in range(int(rng.integers(0, 3))):
        x, y, w, h = rng.integers(0, 400, 4).tolist()
        cv2.rectangle(picture, (x, y), (x + w, y + h), int(rng.integers(40, 160)), -1)
    picture = _written(picture, rng, lines=int(rng.integers(4, 22)))
    return picture if rng.random() < 0.5 else np.asarray(255 - picture, np.uint8)


def photograph(rng: np.random.Generator) -> Picture:
    """What a photograph has: a horizon, objects with edges and shades, textures."""
    total = 0.4 + 0.12 * anatomy.cloud(rng, int(rng.integers(2, 8)), 6)
    if rng.random() < 0.5:
        horizon = int(rng.uniform(120, 400))
        total[horizon:] = 0.3 + 0.15 * anatomy.cloud(rng, 30, 3)[horizon:]
    for _ in range(int(rng.integers(2, 14))):
        points = rng.uniform(0, GRID, (int(rng.integers(3, 8)), 2))
        shape = anatomy.fill([tuple(point) for point in points.tolist()], rng.uniform(0.5, 4))
        total = total * (1 - shape) + shape * (
            rng.uniform(0, 1) + rng.uniform(0, 0.2) * anatomy.cloud(rng, 8, 4)
        )
    return _grey(total, rng)


def test_pattern(rng: np.random.Generator) -> Picture:
    """Bars, checks, wedges, rings or grids, as of monitors and phantoms for quality control."""
    y, x = np.mgrid[0:GRID, 0:GRID].astype(np.float32)
    period = rng.uniform(8, 120)
    wave = {
        0: np.sign(np.sin(x / period * np.pi)),
        1: np.sign(np.sin(x / period * np.pi) * np.sin(y / period * np.pi)),
        2: np.round(x / GRID * rng.integers(4, 20)) / 10 - 0.5,
        3: np.sin(np.hypot(x - 256, y - 256) / period * np.pi),
        4: np.where((x % period < 3) | (y % period < 3), 1.0, -0.6),
        5: x / 256 - 1 if rng.random() < 0.5 else y / 256 - 1,
    }[int(rng.integers(6))]
    picture = np.asarray(np.clip(128 + rng.uniform(30, 127) * wave, 0, 255), np.uint8)
    for _ in range(int(rng.integers(0, 4))):
        centre = (int(rng.uniform(80, 430)), int(rng.uniform(80, 430)))
        cv2.circle(picture, centre, int(rng.uniform(15, 160)), int(rng.integers(256)), -1)
    return picture


def noise(rng: np.random.Generator) -> Picture:
    """White or coloured noise, from fine grain to broad clouds."""
    if rng.random() < 0.3:
        return np.asarray(rng.integers(0, 256, (GRID, GRID)), np.uint8)
    return _grey(anatomy.cloud(rng, int(rng.integers(2, 60)), int(rng.integers(1, 5))), rng)


def nearly_blank(rng: np.random.Generator) -> Picture:
    """An exposure of nothing: one grey with a gradient, grain, a letter or an edge."""
    y, x = np.mgrid[0:GRID, 0:GRID].astype(np.float32) / GRID
    slope = rng.uniform(-50, 50, 2)
    total = rng.uniform(10, 245) + slope[0] * (x - 0.5) + slope[1] * (y - 0.5)
    total = total + rng.normal(0, rng.uniform(1, 12), total.shape)
    picture = np.asarray(np.clip(total, 0, 255), np.uint8)
    picture[:, : int(rng.integers(0, 90))] = 5
    return _written(picture, rng, lines=int(rng.integers(0, 3)))


def mask(rng: np.random.Generator) -> Picture:
    """A segmentation: one or a few white shapes on black."""
    picture = np.zeros((GRID, GRID), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        centre = (rng.uniform(120, 390), rng.uniform(120, 390))
        points = np.array(anatomy.ellipse(centre, rng.uniform(20, 140), rng.uniform(20, 140)))
        points += rng.normal(0, 12, points.shape)
        picture = np.maximum(picture, anatomy.fill([tuple(p) for p in points.tolist()], 0.5))
    return np.asarray(255 * picture, np.uint8)


PICTURES: Mapping[str, Callable[[np.random.Generator], Picture]] = {
    "body slice": slice_through_body,
    "head slice": slice_through_head,
    "ultrasound": ultrasound,
    "text": screen_of_text,
    "photograph": photograph,
    "pattern": test_pattern,
    "noise": noise,
    "blank": nearly_blank,
    "mask": mask,
}
"""What is no radiograph, by name."""


def _grey(values: NDArray[np.floating], rng: np.random.Generator) -> Picture:
    """Bring values to greys by a window of chance around most of them."""
    low, high = np.percentile(values, (rng.uniform(0, 3), rng.uniform(96, 100)))
    return np.asarray(255 * np.clip((values - low) / max(high - low, 1e-6), 0, 1), np.uint8)


def _written(picture: Picture, rng: np.random.Generator, *, lines: int) -> Picture:
    letters = np.array(list("ABCDEFGHIKLMNOPRSTUVWXYZ 0123456789.:/-  "))
    for _ in range(lines):
        text = "".join(rng.choice(letters, int(rng.integers(3, 26))))
        at = (int(rng.uniform(0, 330)), int(rng.uniform(20, GRID)))
        size = rng.uniform(0.3, 1.1)
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, 230, 1, cv2.LINE_AA)
    return picture
