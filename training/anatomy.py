"""What phantoms are drawn from: soft shapes and parts of the body, as added density on a grid.

Every function returns float32 (GRID, GRID), 0 where nothing is. The patient's right is on the
left of the picture, as on a film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Point = tuple[float, float]

GRID = 512
"""Side of the drawing in pixels; all lengths here are in these pixels."""


@dataclass(frozen=True, slots=True)
class Build:
    """One person's chest: `middle` is the spine's column, `top` and `base` the lungs' ends."""

    middle: float
    top: float
    base: float
    half_width: float
    heart: float
    tilt: float


def someone(rng: np.random.Generator, *, ap: bool) -> Build:
    """Draw a build; films taken AP lie lower in inspiration and magnify the heart."""
    return Build(
        middle=256 + rng.normal(0, 8),
        top=rng.uniform(70, 95) + (10 if ap else 0),
        base=rng.uniform(375, 410) - (35 if ap else 0),
        half_width=rng.uniform(155, 180),
        heart=rng.uniform(0.92, 1.05) * (1.15 if ap else 1.0),
        tilt=rng.normal(0, 2.5),
    )


def fill(points: Sequence[Point], softness: float) -> Image:
    """Fill the closed smooth curve through `points`; the edge is blurred by `softness` pixels."""
    mask = np.zeros((GRID, GRID), np.float32)
    curve = _smooth(np.asarray(points, np.float32))
    cv2.fillPoly(mask, [np.round(curve * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    return blur(mask, softness)


def stroke(points: Sequence[Point], width: float, softness: float) -> Image:
    """Draw the open line through `points`, `width` pixels wide."""
    image = np.zeros((GRID, GRID), np.float32)
    where, line = _line(points, width, softness)
    image[where] = line
    return image


def _line(
    points: Sequence[Point], width: float, softness: float
) -> tuple[tuple[slice, slice], Image]:
    """Return where on the grid a stroke is not 0, and what it is there."""
    fixed = np.round(np.asarray(points, np.float32) * 16).astype(np.int32)
    around = int(width + 6 * softness + 4)
    left, top = (max(0, int(least) // 16 - around) for least in fixed.min(axis=0))
    right, bottom = (min(GRID, int(most) // 16 + around) for most in fixed.max(axis=0))
    mask = np.zeros((max(0, bottom - top), max(0, right - left)), np.float32)
    if mask.size:
        fixed -= np.array([left, top], np.int32) * 16
        cv2.polylines(mask, [fixed], False, 1.0, max(1, round(width)), cv2.LINE_AA, 4)
        mask = blur(mask, softness)
    return (slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])), mask


def ellipse(centre: Point, across: float, down: float) -> list[Point]:
    """Points on an ellipse, for `fill`."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return [(centre[0] + across * np.cos(a), centre[1] + down * np.sin(a)) for a in angles]


def blur(image: Image, sigma: float) -> Image:
    """Gaussian blur; `sigma` in pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 0.3)), np.float32)


def cloud(rng: np.random.Generator, coarsest: int = 6, octaves: int = 5) -> Image:
    """Fractal noise with mean 0 and deviation 1: grows finer from `coarsest` cells a side."""
    total = np.zeros((GRID, GRID), np.float32)
    for octave in range(octaves):
        cells = coarsest * 2**octave
        noise = rng.normal(size=(cells, cells)).astype(np.float32)
        total += cv2.resize(noise, (GRID, GRID), interpolation=cv2.INTER_CUBIC) * 0.6**octave
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def torso(b: Build) -> Image:
    """Soft tissue from the neck down, thicker towards the middle and the belly."""
    m, w = b.middle, b.half_width
    outline = fill(
        [
            (m - 42, -60), (m - 48, 25), (m - 110, 55), (m - w - 45, 95), (m - w - 62, 200),
            (m - w - 38, 330), (m - w - 42, 600), (m + w + 42, 600), (m + w + 38, 330),
            (m + w + 62, 200), (m + w + 45, 95), (m + 110, 55), (m + 48, 25), (m + 42, -60),
        ],
        5,
    )  # fmt: skip
    y, x = np.mgrid[0:GRID, 0:GRID].astype(np.float32)
    thick = 1 - 0.35 * np.clip(np.abs(x - m) / (w + 60), 0, 1) ** 2
    belly = 1 + 0.12 * np.clip((y - b.base) / 120, -0.5, 1)
    return np.asarray(outline * thick * belly, np.float32)


def lungs(b: Build) -> tuple[Image, Image]:
    """The aerated right and left lung, 0 to 1."""
    m, w, t, base = b.middle, b.half_width, b.top, b.base
    right = fill(
        [
            (m - 62, t), (m - 105, t + 25), (m - w + 20, t + 120), (m - w, base - 90),
            (m - w + 2, base + 8), (m - w + 12, base + 22), (m - 110, base - 18),
            (m - 55, base - 12), (m - 40, base - 70), (m - 34, t + 120), (m - 30, t + 50),
        ],
        3,
    )  # fmt: skip
    left = fill(
        [
            (m + 62, t), (m + 105, t + 25), (m + w - 20, t + 120), (m + w, base - 90),
            (m + w - 2, base + 18), (m + w - 12, base + 32), (m + 115, base),
            (m + 62, base + 4), (m + 44, base - 80), (m + 34, t + 120), (m + 30, t + 50),
        ],
        3,
    )  # fmt: skip
    return right, left


def heart(b: Build) -> Image:
    """Heart, aortic knob and the vessels at the hila."""
    m, base, k = b.middle, b.base, b.heart
    body = fill(
        [
            (m - 48 * k, base - 40), (m - 52 * k, base - 90), (m - 34, base - 140),
            (m + 20, base - 165), (m + 52 * k, base - 120), (m + 100 * k, base - 45),
            (m + 98 * k, base + 5), (m + 40, base + 30), (m - 20, base + 20),
        ],
        4,
    )  # fmt: skip
    knob = fill(ellipse((m + 34, b.top + 88), 24, 30), 4)
    hila = fill(ellipse((m - 52, b.top + 155), 22, 40), 9)
    hila += fill(ellipse((m + 56, b.top + 142), 20, 36), 9)
    return np.asarray(body + 0.6 * knob + 0.3 * hila, np.float32)


def spine(b: Build) -> Image:
    """Vertebrae and the soft tissue of the mediastinum, with the air of the trachea."""
    y, x = np.mgrid[0:GRID, 0:GRID].astype(np.float32)
    body = np.exp(-(((x - b.middle) / 26) ** 4))
    discs = 0.8 + 0.2 * np.cos(2 * np.pi * y / 30)
    edges = np.exp(-(((np.abs(x - b.middle) - 22) / 4) ** 2)) * 0.25
    soft = np.exp(-(((x - b.middle) / 40) ** 4)) * 0.6
    air = stroke([(b.middle, 0), (b.middle, b.top + 110)], 17, 4)
    air += stroke([(b.middle, b.top + 110), (b.middle - 40, b.top + 150)], 11, 4) * 0.7
    air += stroke([(b.middle, b.top + 110), (b.middle + 46, b.top + 145)], 11, 4) * 0.7
    return np.asarray(body * discs * 0.5 + edges + soft - 0.55 * air, np.float32)


def ribs(b: Build, rng: np.random.Generator) -> Image:
    """Posterior and anterior ribs, clavicles and the edges of the shoulder blades."""
    total = np.zeros((GRID, GRID), np.float32)
    pitch = (b.base - b.top + 60) / 10
    turn = np.linspace(0, 1, 24)
    for side in (-1, 1):
        for number in range(10):
            y0 = b.top - 28 + number * pitch
            reach = b.half_width * (0.62 + 0.40 * min(1, (number + 1) / 5)) + 6
            x = b.middle + side * (24 + (reach - 24) * np.sin(turn * np.pi / 2))
            y = y0 - 10 * np.sin(turn * np.pi) + (14 + 4 * number) * turn**2 + rng.normal(0, 1)
            total += _bone(list(zip(x, y, strict=True)), rng.uniform(11, 13))
            if 1 <= number <= 6:
                x = b.middle + side * (reach - (reach - 70) * turn)
                y = y0 + 16 + 4 * number + 48 * turn
                total += 0.45 * _bone(list(zip(x, y, strict=True)), 13)
        clavicle = [(22, b.top + 22), (70, b.top + 2), (120, b.top - 8), (185, b.top - 22)]
        total += 1.2 * _bone([(b.middle + side * x, y) for x, y in clavicle], 13)
        blade = [(150, b.top + 10), (176, b.top + 70), (172, b.top + 140), (150, b.top + 190)]
        total += 0.5 * _bone([(b.middle + side * (x + 12), y) for x, y in blade], 10)
    return total


def vessels(b: Build, rng: np.random.Generator) -> Image:
    """Lung markings: lines that fork from the hila and thin out."""
    total = np.zeros((GRID, GRID), np.float32)
    for side in (-1, 1):
        ends = [
            (b.middle + side * 55, b.top + 150.0, angle, 5.0)
            for angle in np.linspace(-1.35, 1.45, 9) + rng.normal(0, 0.1, 9)
        ]
        while ends:
            x, y, angle, width = ends.pop()
            length = rng.uniform(18, 34)
            x1 = x + side * length * np.cos(angle)
            y1 = y + length * np.sin(angle)
            where, line = _line([(x, y), (x1, y1)], width, 0.8)
            total[where] += line * (0.12 + 0.05 * width)
            if width > 1.3:
                for bend in (rng.normal(-0.25, 0.12), rng.normal(0.25, 0.12)):
                    ends.append((x1, y1, angle + bend, width * rng.uniform(0.6, 0.78)))
    return np.clip(total, 0, 0.6)


def _bone(points: Sequence[Point], width: float) -> Image:
    """A tube of bone: its edges are brighter than its middle."""
    outer, inner = stroke(points, width, 1.2), stroke(points, width - 5, 1.5)
    return np.asarray(outer - 0.4 * inner, np.float32)


def _smooth(points: NDArray[np.float32], steps: int = 12) -> NDArray[np.float32]:
    """Closed Catmull-Rom curve through `points`."""
    before, after, beyond = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[:, None, None]
    curve = 0.5 * (
        2 * points
        + (after - before) * t
        + (2 * before - 5 * points + 4 * after - beyond) * t**2
        + (3 * points - before - 3 * after + beyond) * t**3
    )
    return np.asarray(curve.transpose(1, 0, 2).reshape(-1, 2), np.float32)
