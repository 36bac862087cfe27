"""Whole films are put together from parts of the body, exposed and marked.

Densities and boxes (x, y, width, height) are on the grid of `training.anatomy`.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training import anatomy
from training.anatomy import GRID, Build, Image
from training.geometry import move_boxes

Rectangle = tuple[float, float, float, float]


def frontal(
    rng: np.random.Generator, kind: str, *, ap: bool
) -> tuple[Image, tuple[Rectangle, ...], str]:
    """A frontal chest of kind "normal", "opacity" or "abnormal": density, boxes, what was drawn."""
    build = anatomy.someone(rng, ap=ap)
    drawn, extra = "nothing", np.zeros((GRID, GRID), np.float32)
    boxes: tuple[Rectangle, ...] = ()
    disease = str(rng.choice(["large heart", "effusion", "nodule", "device"]))
    if kind == "abnormal" and disease == "large heart":
        build = replace(build, heart=build.heart * 1.42)
    right, left = anatomy.lungs(build)
    heart = anatomy.heart(build)
    air = np.clip(np.maximum(right, left) - 0.9 * np.clip(heart, 0, 1), 0, 1)
    if kind == "opacity":
        extra, boxes = _opacities(rng, right, left)
        drawn = f"{len(boxes)} opacities"
    elif kind == "abnormal":
        drawn = disease
        if disease == "effusion":
            air = air * (1 - _effusion(rng, build))
        elif disease == "nodule":
            extra = _nodule(rng, air)
        elif disease == "device":
            extra = _device(rng, build)
    density = (
        0.62 * anatomy.torso(build)
        - 0.40 * air * (1 + 0.06 * anatomy.cloud(rng, 4, 3))
        + 0.13 * heart
        + 0.17 * anatomy.spine(build)
        + 0.10 * anatomy.ribs(build, rng)
        + 0.12 * anatomy.vessels(build, rng) * air
        + extra
    )
    turn = np.asarray(cv2.getRotationMatrix2D((GRID / 2, GRID / 2), build.tilt, 1.0), np.float64)
    density = cv2.warpAffine(density, turn, (GRID, GRID), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(density, np.float32), _turned(boxes, turn), drawn


def _turned(boxes: tuple[Rectangle, ...], turn: NDArray[np.floating]) -> tuple[Rectangle, ...]:
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float64).reshape(-1, 4)
    return tuple(
        (x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in move_boxes(corners, turn).tolist()
    )


def _opacities(
    rng: np.random.Generator, right: Image, left: Image
) -> tuple[Image, tuple[Rectangle, ...]]:
    """Cloudy patches inside the lungs; each box is the extent of its patch."""
    sides = [right, left] if rng.random() < 0.45 else [(right, left)[int(rng.integers(2))]]
    total, boxes = np.zeros((GRID, GRID), np.float32), []
    for lung in sides:
        rows, columns = np.nonzero(lung > 0.9)
        pick = int(rng.integers(len(rows)))
        across, down = rng.uniform(32, 62), rng.uniform(38, 90)
        low = rows.min() + 0.25 * np.ptp(rows)
        centre = (float(columns[pick]), float(max(rows[pick], low)))
        shape = anatomy.fill(anatomy.ellipse(centre, across, down), 14)
        rough = np.clip(shape * (1 + 0.30 * anatomy.cloud(rng, 10, 5)), 0, 1.4) * lung
        seen = rough > 0.35
        if not seen.any():
            continue
        y, x = np.nonzero(seen)
        boxes.append((float(x.min()), float(y.min()), float(np.ptp(x) + 1), float(np.ptp(y) + 1)))
        total += rough * rng.uniform(0.17, 0.27)
    return total, tuple(boxes)


def _effusion(rng: np.random.Generator, b: Build) -> Image:
    """Fluid in one costophrenic angle with the meniscus rising to the side, 0 to 1."""
    side = 1 if rng.random() < 0.5 else -1
    height = rng.uniform(50, 110)
    x = np.linspace(-10, b.half_width + 30, 12)
    y = b.base - height * (0.25 + 0.75 * (np.clip(x, 0, None) / b.half_width) ** 2)
    top = [(b.middle + side * u, v) for u, v in zip(x, y, strict=True)]
    floor = [(b.middle + side * (b.half_width + 30), 560.0), (b.middle - side * 10, 560.0)]
    return anatomy.fill(top + floor, 5)


def _nodule(rng: np.random.Generator, air: Image) -> Image:
    rows, columns = np.nonzero(air > 0.95)
    pick = int(rng.integers(len(rows)))
    radius = rng.uniform(6, 11)
    centre = (float(columns[pick]), float(rows[pick]))
    return 0.22 * anatomy.fill(anatomy.ellipse(centre, radius, radius), 1.5)


def _device(rng: np.random.Generator, b: Build) -> Image:
    """A pacemaker with its lead."""
    centre = (b.middle + b.half_width - 25, b.top + 55 + rng.normal(0, 5))
    can = anatomy.fill(anatomy.ellipse(centre, 21, 25), 1)
    lead = [centre, (b.middle + 70, b.top + 20), (b.middle - 10, b.top + 60)]
    lead += [(b.middle - 18, b.base - 70), (b.middle + 55, b.base - 15)]
    return np.asarray(0.55 * can + 0.45 * anatomy.stroke(lead, 2, 0.5), np.float32)


def lateral(rng: np.random.Generator) -> Image:
    """A chest from the side: spine behind, breastbone in front, the heart between."""
    m = 256 + rng.normal(0, 10)
    outline = [(m - 60, -40), (m - 130, 90), (m - 150, 250), (m - 130, 560), (m + 150, 560)]
    outline += [(m + 165, 300), (m + 150, 130), (m + 60, 40), (m + 45, -40)]
    body = anatomy.fill(outline, 6)
    lung = [(m + 10, 70), (m - 70, 130), (m - 112, 230), (m - 100, 350), (m - 20, 385)]
    lung += [(m + 60, 420), (m + 115, 440), (m + 120, 300), (m + 110, 160), (m + 60, 80)]
    air = anatomy.fill(lung, 4)
    core = anatomy.fill(anatomy.ellipse((m - 55, 320), 55, 62), 9)
    back = [(m + 80, 40), (m + 118, 160), (m + 124, 300), (m + 100, 480)]
    total = 0.66 * body - 0.36 * air + 0.2 * core + 0.12 * anatomy.stroke(back, 34, 5)
    for number in range(12):
        y = 70 + 34 * number
        x = m + 84 + 40 * np.sin(np.pi * (number + 1) / 13)
        total += 0.14 * anatomy.stroke([(x - 14, y), (x + 14, y + 3)], 20, 2)
        rib = [(x, y), (m + 20, y + 45 + 2 * number), (m - 105, y + 95)]
        total += 0.035 * anatomy.stroke(rib, 11, 1.5)
    total += 0.15 * anatomy.stroke([(m - 82, 120), (m - 128, 250), (m - 122, 330)], 9, 2)
    return np.asarray(total + 0.01 * anatomy.cloud(rng), np.float32)


def hand(rng: np.random.Generator) -> Image:
    """A hand: soft tissue with the bones of five fingers."""
    total = 0.30 * anatomy.fill(anatomy.ellipse((256, 345), 92, 95), 5)
    total += 0.30 * anatomy.stroke([(256, 400), (256, 560)], 120, 6)
    wrist = (256.0, 410.0)
    for angle, length in zip(
        np.radians([-62, -24, -4, 14, 34]) + rng.normal(0, 0.03, 5),
        np.array([230, 315, 340, 315, 265]) * rng.uniform(0.95, 1.05),
        strict=True,
    ):
        way = np.array([np.sin(angle), -np.cos(angle)])
        at = [tuple(wrist + way * length * part) for part in (0.25, 0.58, 0.62, 0.80, 0.83, 1.0)]
        total += 0.26 * anatomy.stroke([at[0], at[5]], 34, 4)
        for start, end in ((0, 1), (2, 3), (4, 5)):
            total += 0.30 * anatomy.stroke([at[start], at[end]], 15, 1.5)
    for side in (-18, 22):
        total += 0.32 * anatomy.stroke([(256 + side, 430), (256 + side * 1.3, 560)], 30, 2)
    for _ in range(8):
        centre = (256 + float(rng.uniform(-40, 40)), 410 + float(rng.uniform(-18, 18)))
        total += 0.12 * anatomy.fill(anatomy.ellipse(centre, 13, 12), 1.5)
    return np.asarray(np.clip(total, 0, 0.95), np.float32)


def expose(rng: np.random.Generator, density: Image, size: int) -> NDArray[np.uint8]:
    """Enlarge the drawing, add scatter and grain, and bring it to grey levels."""
    field = cv2.resize(density, (size, size), interpolation=cv2.INTER_CUBIC)
    scatter = cv2.resize(anatomy.cloud(rng, 3, 2), (size, size), interpolation=cv2.INTER_LINEAR)
    field = np.clip(field + 0.012 * scatter, 0, None) * rng.uniform(0.92, 1.08)
    grain = cv2.GaussianBlur(rng.normal(size=(size, size)).astype(np.float32), (0, 0), 0.8)
    field = field + grain * 0.022 * (0.4 + field)
    grey = 255 * np.clip(field / (0.6 + field) * 1.72, 0, 1) ** rng.uniform(0.9, 1.15)
    return np.asarray(np.clip(grey, 0, 255), np.uint8)


def mark(image: NDArray[np.uint8], rng: np.random.Generator, view: str) -> None:
    """Put the side's letter, and AP where it is so, into a corner, and collimate now and then."""
    size = image.shape[0]
    if rng.random() < 0.4:
        edge = [int(e) for e in rng.uniform(0.005, 0.04, 4) * size]
        for band in (np.s_[: edge[0]], np.s_[size - edge[1] :]):
            image[band] = 4
        for band in (np.s_[: edge[2]], np.s_[size - edge[3] :]):
            image[:, band] = 4
    letter = "L" if view else "R"
    place = (int(0.88 * size), int(rng.uniform(0.09, 0.16) * size))
    for text, at in ((letter, place), ("AP" if view == "AP" else "", (int(0.05 * size), place[1]))):
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size / 700, 250, size // 340)
