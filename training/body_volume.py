"""A chest as a volume, shone through from any side: frontal, lateral and oblique films of one body.

Views made from the same bodies differ in the view alone, so that nothing else can tell them apart.
Lengths are in halves of the film's side; x runs to the left, y to the back, z to the feet.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training import anatomy
from training.anatomy import GRID, Image

_STEPS = (112, 64, 96)
"""Samples along z, along the beam, and across the film."""

_AWAY = np.float32(9)
"""A radius outside of everything."""

Field = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Body:
    """One person: half width and half depth of the chest, and where its parts lie."""

    width: float
    depth: float
    apex: float
    base: float
    heart: float
    kyphosis: float
    ribs: float
    belly: float


def somebody(rng: np.random.Generator) -> Body:
    """Draw a body."""
    return Body(
        width=rng.uniform(0.7, 0.9),
        depth=rng.uniform(0.45, 0.66),
        apex=rng.uniform(-0.85, -0.7),
        base=rng.uniform(0.4, 0.72),
        heart=rng.uniform(0.85, 1.3),
        kyphosis=rng.uniform(0.05, 0.22),
        ribs=rng.uniform(0.13, 0.17),
        belly=rng.uniform(0.9, 1.25),
    )


def project(body: Body, angle: float, rng: np.random.Generator) -> Image:
    """Shine through a body: 0 degrees gives a frontal film, 90 and -90 lateral ones.

    Returns the density (GRID, GRID), as the other drawings have it.
    """
    z, beam, across = np.meshgrid(
        *(np.linspace(-1, 1, steps, dtype=np.float32) for steps in _STEPS), indexing="ij"
    )
    turn = np.radians(angle)
    x = np.cos(turn) * across + np.sin(turn) * beam
    y = -np.sin(turn) * across + np.cos(turn) * beam
    total = soft = _soft(body, x, y, z)
    air = _lungs(body, x, y, z) * (1 - _heart(body, x, y, z))
    total = total - 0.8 * air * soft + 1.3 * _bones(body, x, y, z) * soft
    path = total.sum(axis=1) * (2 / _STEPS[1])
    lung = np.clip(air.sum(axis=1) * (2 / _STEPS[1]), 0, 1)
    path += 0.05 * lung * cv2.resize(anatomy.cloud(rng, 9, 4), lung.shape[::-1])
    drawn = cv2.resize(path, (GRID, GRID), interpolation=cv2.INTER_CUBIC)
    exposure = rng.uniform(0.55, 0.95) / max(float(np.percentile(path, 90)), 0.1)
    return np.asarray(np.clip(exposure * drawn, 0, None), np.float32)


def _soft(b: Body, x: Field, y: Field, z: Field) -> Field:
    """Trunk with shoulders and neck, as far as the film reaches."""
    shoulders = 1 + 0.28 * np.exp(-(((z + 0.7) / 0.2) ** 2))
    belly = 1 + (b.belly - 1) * _rise(z, b.base, 0.2)
    width = (b.width + 0.1) * shoulders * (0.5 + 0.5 * belly)
    depth = (b.depth + 0.08) * belly
    neck = _rise(-z, 0.86, 0.14)
    width = width * (1 - neck) + 0.24 * neck
    depth = depth * (1 - neck) + 0.24 * neck
    return _inside((np.abs(x) / width) ** 2.3 + (np.abs(y) / depth) ** 2.3, 0.06)


def _lungs(b: Body, x: Field, y: Field, z: Field) -> Field:
    """Both lungs down to the domes of the diaphragm, which reach deepest behind."""
    total = np.zeros_like(x)
    for side in (-1, 1):
        centre = side * b.width * 0.52
        level = np.clip((z - b.apex) / 0.75, 0.0, 1.0)
        reach = np.sqrt(level * (2 - level)) + 1e-3
        rim = ((x - centre) / (b.width * 0.46 * reach)) ** 2 + (y / (b.depth * 0.92 * reach)) ** 2
        dome = ((x - centre) / (b.width * 0.5)) ** 2 + ((y + 0.1) / b.depth) ** 2
        floor = b.base - 0.03 * (side < 0) - 0.28 * np.clip(1 - dome, 0, 1) + 0.25 * y
        total = np.maximum(total, _inside(rim, 0.08) * _rise(floor - z, 0, 0.02))
    return total * (z > b.apex)


def _heart(b: Body, x: Field, y: Field, z: Field) -> Field:
    """Heart and great vessels, in front and to the left; the aorta along the spine."""
    k = b.heart
    along = (x - 0.1) * 0.8 + (z - (b.base - 0.26)) * 0.6
    aside = -(x - 0.1) * 0.6 + (z - (b.base - 0.26)) * 0.8
    body = (along / (0.34 * k)) ** 2 + (aside / (0.23 * k)) ** 2
    body = body + ((y + 0.3 * b.depth) / (0.22 * k + 0.05)) ** 2
    vessels = (x / 0.13) ** 2 + ((y + 0.02) / 0.16) ** 2 + _AWAY * (z > b.base - 0.1)
    aorta = ((x - 0.1) / 0.07) ** 2 + ((y - 0.45 * b.depth) / 0.07) ** 2 + _AWAY * (z < -0.3)
    parts = [_inside(body, 0.1), _inside(vessels, 0.15), _inside(aorta, 0.2)]
    return np.asarray(np.maximum.reduce(parts), np.float32)


def _bones(b: Body, x: Field, y: Field, z: Field) -> Field:
    """Spine, ribs, breastbone and collar bones."""
    back = b.depth * 0.78 + b.kyphosis * (1 - z**2) - b.kyphosis * 0.6
    column = (x / 0.1) ** 2 + ((y - back) / 0.11) ** 2
    spine = _inside(column, 0.15) * (0.65 + 0.35 * np.cos(2 * np.pi * z / 0.13))
    spine += 0.7 * _inside((x / 0.03) ** 2 + ((y - back - 0.17) / 0.09) ** 2, 0.2)
    cage = (x / (b.width * 1.02)) ** 2 + (y / (b.depth * 1.0)) ** 2
    wall = np.exp(-(((cage - 1) / 0.07) ** 2))
    slant = np.cos(2 * np.pi * (z + 0.45 * y - 0.08 * np.abs(x)) / b.ribs)
    ribs = wall * np.clip(slant, 0, 1) * _rise(b.base + 0.2 - z, 0, 0.05) * (z > b.apex - 0.05)
    front = (x / 0.09) ** 2 + ((y + b.depth * 0.98) / 0.05) ** 2
    breast = _inside(front, 0.2) * (np.abs(z + 0.15) < 0.33)
    rise = z - (b.apex + 0.08 - 0.16 * np.abs(x))
    collar = _inside((rise / 0.035) ** 2 + ((y + 0.5 * b.depth) / 0.06) ** 2, 0.3)
    collar = collar * (np.abs(x) < b.width)
    return np.asarray(spine + 0.8 * (ribs + breast + collar), np.float32)


def _inside(radius: Field, softness: float) -> Field:
    """1 where `radius` is below 1, 0 above, with a soft edge."""
    return np.asarray(np.clip((1 + softness - radius) / (2 * softness), 0, 1), np.float32)


def _rise(value: Field, start: float, width: float) -> Field:
    """From 0 below `start` to 1 above, over `width`."""
    return np.asarray(np.clip((value - start) / width + 0.5, 0, 1), np.float32)
