"""Radiographs of other parts than a frontal chest, drawn as added density on the phantoms' grid.

They teach a network what is not to be read. Each function draws one from chance alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from training import anatomy, drawing
from training.anatomy import GRID, Image, Point
from training.body_volume import Body, project
from training.drawing import hand, lateral


def limb(rng: np.random.Generator) -> Image:
    """An arm or a leg: a tube of soft tissue with one or two long bones and, often, a joint."""
    width = rng.uniform(45, 110)
    total = 0.32 * anatomy.stroke([(256, -60), (256, 570)], width * 2, 8)
    joint = rng.uniform(120, 400) if rng.random() < 0.7 else -200.0
    for offset in (0.0,) if rng.random() < 0.4 else (-0.45, 0.4):
        x = 256 + offset * width
        ends = [(-60.0, joint - 8), (joint + 8, 570.0)]
        for top, bottom in ends:
            if bottom - top < 20:
                continue
            bone = rng.uniform(0.28, 0.42) * width * (0.7 if offset else 1.2)
            total += 0.3 * _long_bone([(x, top), (x + rng.normal(0, 8), bottom)], bone)
        for way in (-1, 1):
            knob = anatomy.ellipse((x, joint + way * 22), width * 0.32, 22)
            total += 0.25 * anatomy.fill(knob, 2)
    return _placed(rng, total, angle=180, zoom=(0.7, 1.3))


def foot(rng: np.random.Generator) -> Image:
    """A foot from above or from the side: heel, instep and toes."""
    total = 0.34 * anatomy.fill(
        [(200, 500), (170, 330), (150, 160), (190, 60), (300, 50), (350, 170), (320, 500)], 6
    )
    for number, x in enumerate(np.linspace(185, 320, 5)):
        reach = 60 + 12 * abs(number - 1)
        for top, bottom in ((reach, reach + 34), (reach + 40, reach + 72), (reach + 78, 270)):
            total += 0.3 * _long_bone([(x, top), (x * 0.6 + 103, bottom)], rng.uniform(12, 20))
    for _ in range(6):
        centre = (rng.uniform(215, 300), rng.uniform(290, 380))
        total += 0.16 * anatomy.fill(anatomy.ellipse(centre, 26, 22), 2)
    total += 0.3 * anatomy.fill(anatomy.ellipse((258, 440), 44, 55), 3)
    return _placed(rng, total, angle=180, zoom=(0.7, 1.1))


def skull(rng: np.random.Generator) -> Image:
    """A head from the front or the side: vault, orbits or base, jaw, neck."""
    vault = anatomy.ellipse((256, 205), rng.uniform(135, 170), rng.uniform(150, 185))
    total = 0.36 * anatomy.fill(vault, 3) + 0.4 * _shell(vault, rng.uniform(8, 14))
    total += 0.22 * anatomy.stroke([(256, 330), (256 + rng.normal(0, 30), 560)], 120, 8)
    jaw = anatomy.fill([(170, 300), (190, 400), (256, 430), (322, 400), (342, 300)], 4)
    total += 0.2 * jaw
    if rng.random() < 0.5:
        for side in (-1, 1):
            total -= 0.2 * anatomy.fill(anatomy.ellipse((256 + side * 58, 225), 36, 28), 4)
        total -= 0.2 * anatomy.fill(anatomy.ellipse((256, 285), 20, 36), 4)
    else:
        total += 0.3 * anatomy.stroke([(130, 270), (250, 290), (370, 300)], 26, 8)
        total -= 0.15 * anatomy.fill(anatomy.ellipse((165, 300), 40, 30), 5)
    for x in np.linspace(215, 297, 10):
        total += 0.2 * anatomy.stroke([(x, 345), (x, 372)], 6, 1)
    return _placed(rng, np.clip(total, 0, 1.2), angle=12, zoom=(0.6, 1.25))


def abdomen(rng: np.random.Generator) -> Image:
    """A belly from the front: lumbar spine, gas in the bowel, pelvis, no lungs."""
    w = rng.uniform(150, 225)
    total = 0.72 * anatomy.fill(
        [(256 - w, -60), (256 - w - 10, 250), (256 - w, 580), (256 + w, 580),
         (256 + w + 10, 250), (256 + w, -60)], 7,
    )  # fmt: skip
    total += 0.2 * _vertebrae(rng, 256, -10, 400, rng.uniform(46, 60))
    for _ in range(int(rng.integers(4, 16))):
        centre = (rng.uniform(256 - 0.8 * w, 256 + 0.8 * w), rng.uniform(60, 420))
        loop = anatomy.ellipse(centre, rng.uniform(10, 45), rng.uniform(8, 28))
        total -= rng.uniform(0.05, 0.22) * anatomy.fill(loop, 4)
    for side in (-1, 1):
        total += 0.14 * anatomy.fill(
            [(256 + side * 30, 390), (256 + side * 120, 350), (256 + side * 150, 430),
             (256 + side * 70, 520), (256 + side * 25, 470)], 4,
        )  # fmt: skip
    return _placed(rng, total + 0.02 * anatomy.cloud(rng), angle=6, zoom=(0.75, 1.25))


def pelvis(rng: np.random.Generator) -> Image:
    """Hips from the front: iliac wings, sacrum, the heads and shafts of both femora."""
    total = 0.6 * anatomy.fill([(40, -60), (20, 560), (492, 560), (472, -60)], 10)
    total += 0.2 * _vertebrae(rng, 256, -40, 170, 56)
    total += 0.22 * anatomy.fill([(210, 150), (302, 150), (262, 270), (250, 270)], 4)
    for side in (-1, 1):
        x = 256 + side * rng.uniform(125, 145)
        wing = [(256 + side * 48, 175), (x, 70), (x + side * 60, 150), (x, 250)]
        total += 0.26 * anatomy.fill(wing, 4)
        ring = anatomy.ellipse((256 + side * 55, 345), 34, 26)
        total += 0.26 * _shell(ring, 18)
        total += 0.3 * anatomy.fill(anatomy.ellipse((x, 290), 32, 32), 2)
        total += 0.28 * _long_bone([(x + side * 30, 320), (x + side * 35, 580)], 46)
    total += 0.03 * anatomy.cloud(rng)
    return _placed(rng, total, angle=8, zoom=(0.75, 1.3))


def vertebral_column(rng: np.random.Generator) -> Image:
    """A spine alone, from the front or the side, collimated to a strip now and then."""
    curve = rng.uniform(-60, 60)
    total = np.full((GRID, GRID), rng.uniform(0.25, 0.5), np.float32)
    total += 0.3 * _vertebrae(rng, 256, -40, 560, rng.uniform(55, 110), curve)
    if rng.random() < 0.6:
        total -= 0.15 * anatomy.fill(anatomy.ellipse((256 + curve - 120, 250), 70, 220), 30)
    if rng.random() < 0.5:
        total[:, : int(rng.uniform(60, 150))] = 0
        total[:, -int(rng.uniform(60, 150)) :] = 0
    return _placed(rng, total + 0.02 * anatomy.cloud(rng), angle=10, zoom=(0.8, 1.4))


def shoulder(rng: np.random.Generator) -> Image:
    """A shoulder: the head of the humerus, its socket, collar bone, and a corner of lung."""
    total = 0.45 * anatomy.fill([(560, -40), (330, 30), (120, 120), (90, 560), (560, 560)], 8)
    total -= 0.25 * anatomy.fill([(420, 180), (560, 100), (560, 560), (400, 560)], 14)
    total += 0.34 * anatomy.fill(anatomy.ellipse((215, 190), 62, 64), 3)
    total += 0.3 * _long_bone([(205, 220), (160, 580)], 70)
    total += 0.24 * _long_bone([(240, 110), (400, 95), (560, 130)], 34)
    total += 0.15 * anatomy.fill([(290, 130), (400, 170), (430, 420), (330, 260)], 4)
    for number in range(5):
        rib = [(400, 150 + 70 * number), (480, 150 + 66 * number), (560, 190 + 66 * number)]
        total += 0.12 * _long_bone(rib, 24)
    total = total if rng.random() < 0.5 else np.fliplr(total)
    return _placed(rng, total, angle=10, zoom=(0.8, 1.3))


def jaw(rng: np.random.Generator) -> Image:
    """A panoramic film of the teeth: the jaw as an arc, two rows of teeth."""
    total = np.full((GRID, GRID), 0.3, np.float32)
    x = np.linspace(40, 472, 14)
    arc = 250 + rng.uniform(40, 90) * (1 - ((x - 256) / 216) ** 2)
    total += 0.25 * anatomy.stroke(list(zip(x, arc + 60, strict=True)), 70, 8)
    for number in range(16):
        at = 90 + number * 22
        y = 250 + 60 * (1 - ((at - 256) / 216) ** 2)
        for way in (-1, 1):
            tooth = [(at, y + way * 4), (at + rng.normal(0, 3), y + way * rng.uniform(40, 60))]
            total += 0.35 * anatomy.stroke(tooth, rng.uniform(12, 17), 2)
    for side in (-1, 1):
        ramus = [(256 + side * 216, 300), (256 + side * 225, 120)]
        total += 0.3 * anatomy.stroke(ramus, 44, 6)
    total[: int(rng.uniform(0, 140))] = 0
    total[GRID - int(rng.uniform(1, 140)) :] = 0
    return _placed(rng, total + 0.02 * anatomy.cloud(rng), angle=4, zoom=(0.9, 1.1))


def animal_chest(rng: np.random.Generator) -> Image:
    """A dog's or a cat's chest from the side, lying: spine above, belly to the right."""
    body = [(-60, 150), (120, 120), (330, 130), (580, 150), (580, 400), (340, 420), (100, 360)]
    total = 0.55 * anatomy.fill(body, 6)
    lung = [(70, 200), (180, 165), (330, 180), (380, 240), (300, 350), (150, 340), (80, 270)]
    total -= 0.3 * anatomy.fill(lung, 6)
    total += 0.22 * anatomy.fill(anatomy.ellipse((190, 300), 70, 55), 6)
    for x in np.linspace(-20, 530, 16):
        total += 0.22 * anatomy.stroke([(x, 135), (x + 4, 165)], 26, 2)
        rib = [(x, 165), (x + 10, 250), (x - 30, 380)]
        total += 0.06 * anatomy.stroke(rib, 9, 1.5)
    for x in rng.uniform(20, 150, 2):
        total += 0.25 * _long_bone([(x + 40, 330), (x - 60, 560)], 34)
    total = total if rng.random() < 0.5 else np.fliplr(total)
    return _placed(rng, total + 0.015 * anatomy.cloud(rng), angle=8, zoom=(0.7, 1.2))


def breast(rng: np.random.Generator) -> Image:
    """A mammogram: half an ellipse at one edge, with strands of gland."""
    outline = anatomy.ellipse((0, 256), rng.uniform(180, 360), rng.uniform(170, 250))
    shape = anatomy.fill(outline, 6)
    strands = np.clip(anatomy.cloud(rng, 5, 6), -1, 2.5)
    total = np.asarray(shape * (0.3 + 0.14 * strands), np.float32)
    return np.asarray(total if rng.random() < 0.5 else np.fliplr(total), np.float32)


def side_chest(rng: np.random.Generator) -> Image:
    """A chest from either side, of another build each time, with the arms now and then."""
    total = lateral(rng)
    if rng.random() < 0.4:
        arm = [(256 + rng.normal(0, 40), -40.0), (256 + rng.normal(-60, 60), 120.0)]
        total = total + rng.uniform(0.1, 0.25) * _long_bone(arm, rng.uniform(24, 40))
    total = total if rng.random() < 0.5 else np.fliplr(total)
    return _placed(rng, np.asarray(total, np.float32), angle=8, zoom=(0.85, 1.45), squeeze=0.3)


def seen_from(body: Body, angle: float, rng: np.random.Generator) -> Image:
    """A body of `training.body_volume` from an angle in degrees, framed as films of it are."""
    zoom = (0.9, 1.25) if abs(angle) < 30 else (0.95, 1.5)
    return _placed(rng, project(body, angle, rng), angle=5, zoom=zoom)


def own_hand(rng: np.random.Generator) -> Image:
    """A hand, turned anyhow."""
    return _placed(rng, hand(rng), angle=180, zoom=(0.7, 1.2))


PARTS: Mapping[str, Callable[[np.random.Generator], Image]] = {
    "limb": limb,
    "hand": own_hand,
    "foot": foot,
    "skull": skull,
    "abdomen": abdomen,
    "pelvis": pelvis,
    "spine": vertebral_column,
    "shoulder": shoulder,
    "jaw": jaw,
    "animal": animal_chest,
    "breast": breast,
}
"""What is no chest, by name."""


def frontal_chest(rng: np.random.Generator) -> Image:
    """A frontal chest, upright, of any class."""
    kind = str(rng.choice(["normal", "opacity", "abnormal"]))
    return drawing.frontal(rng, kind, ap=rng.random() < 0.4)[0]


def _long_bone(points: Sequence[Point], width: float) -> Image:
    """A tube whose wall is denser than its marrow."""
    outer = anatomy.stroke(points, width, 1.5)
    return np.asarray(outer - 0.45 * anatomy.stroke(points, width * 0.55, 2), np.float32)


def _shell(points: list[Point], width: float) -> Image:
    return anatomy.stroke([*points, points[0]], width, 2)


def _vertebrae(
    rng: np.random.Generator, x: float, top: float, bottom: float, width: float, curve: float = 0
) -> Image:
    """A column of vertebrae from `top` to `bottom`, bent sideways by `curve` pixels."""
    total = np.zeros((GRID, GRID), np.float32)
    height = width * rng.uniform(0.55, 0.8)
    for y in np.arange(top, bottom, height * 1.25):
        at = x + curve * np.sin(np.pi * (y - top) / (bottom - top))
        block = [(at - width / 2, y), (at + width / 2, y)]
        block += [(at + width / 2, y + height), (at - width / 2, y + height)]
        total += anatomy.fill(block, 2)
        total += 0.5 * anatomy.fill(anatomy.ellipse((at, y + height / 2), 7, 9), 2)
    return total


def _placed(
    rng: np.random.Generator,
    drawn: Image,
    *,
    angle: float,
    zoom: tuple[float, float],
    squeeze: float = 0.15,
) -> Image:
    """Turn by up to `angle` degrees, enlarge, squeeze and bend a drawing."""
    centre = np.full(2, GRID / 2)
    turn = cv2.getRotationMatrix2D((0, 0), rng.uniform(-angle, angle), rng.uniform(*zoom))
    turn = np.asarray(turn, np.float64) * [1 + rng.uniform(-squeeze, squeeze), 1, 1]
    turn[:, 2] = centre - turn[:, :2] @ centre + rng.normal(0, 18, 2)
    y, x = np.mgrid[0:GRID, 0:GRID].astype(np.float32)
    bend = rng.uniform(0, 9)
    map_x, map_y = (axis + bend * anatomy.cloud(rng, 3, 2) for axis in (x, y))
    bent = cv2.remap(drawn, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved = cv2.warpAffine(bent, turn, (GRID, GRID), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(moved, 0, None), np.float32)
