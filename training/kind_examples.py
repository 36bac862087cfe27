"""Pictures of every kind with the features of each: frontal films, and what is to be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.manifest import KINDS
from training import drawing
from training.body_parts import PARTS, frontal_chest, seen_from, side_chest
from training.body_volume import somebody
from training.film_changes import CHANGES, Picture, jittered, stretched
from training.other_pictures import PICTURES

Describe = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
CHUNK = 64


@dataclass(frozen=True, slots=True)
class Recipe:
    """How many pictures are made.

    Of each real film `jitters` moved and toned copies and `changes` changed ones, each of another
    sort (turned, inverted, folded, broken; at most 4); `parts` of each part of the body, `others`
    of each picture that is no radiograph, `laterals` chests from the side and `phantoms` drawn
    frontal chests; of each of `bodies` a frontal, a lateral and an oblique film.
    """

    jitters: int = 1
    changes: int = 2
    parts: int = 40
    others: int = 40
    laterals: int = 360
    phantoms: int = 80
    bodies: int = 120


@dataclass(frozen=True, slots=True)
class Examples:
    """Pictures by their pooled features.

    `features` is (n, d), `kinds` (n,) indices of KINDS, `groups` the patient that a picture comes
    from or the name of its drawing, `families` the way it was made, and `plain` (n,) tells the real
    frontal films as they are, unchanged.
    """

    features: NDArray[np.float32]
    kinds: NDArray[np.int32]
    groups: tuple[str, ...]
    families: tuple[str, ...]
    plain: NDArray[np.bool_]

    def take(self, rows: NDArray[np.bool_]) -> Examples:
        """Return the examples that `rows` picks."""
        return Examples(
            self.features[rows],
            self.kinds[rows],
            tuple(group for group, row in zip(self.groups, rows, strict=True) if row),
            tuple(family for family, row in zip(self.families, rows, strict=True) if row),
            self.plain[rows],
        )


@dataclass(frozen=True, slots=True)
class _Made:
    picture: Picture
    kind: str
    group: str
    family: str


def make_examples(
    describe: Describe,
    squares: NDArray[np.uint8],
    patients: Sequence[str],
    recipe: Recipe,
    *,
    seed: int,
) -> Examples:
    """Make pictures from real frontal films and from chance, and describe each by features.

    Args:
        describe: (n, side, side) uint8 to (n, d) features.
        squares: Real frontal films, (n, side, side) uint8.
        patients: The patient of each.
        recipe: How many of what.
        seed: Seed of all chance.
    """
    rng = np.random.default_rng(seed)
    features: list[NDArray[np.float32]] = []
    labels: list[tuple[str, str, str]] = []
    chunk: list[Picture] = []
    for made in _all(squares, patients, recipe, rng):
        labels.append((made.kind, made.group, made.family))
        chunk.append(made.picture)
        if len(chunk) == CHUNK:
            features.append(describe(np.stack(chunk)))
            chunk.clear()
    if chunk:
        features.append(describe(np.stack(chunk)))
    families = tuple(family for _, _, family in labels)
    return Examples(
        np.concatenate(features),
        np.array([KINDS.index(kind) for kind, _, _ in labels], np.int32),
        tuple(group for _, group, _ in labels),
        families,
        np.array([family in PLAIN for family in families]),
    )


PLAIN = ("film", "stretched film")
"""The families of real frontal films that are shown as they are."""


_VIEWS = (("body", "frontal"), ("body's side", "lateral"), ("oblique body", "lateral"))


def _all(
    squares: NDArray[np.uint8],
    patients: Sequence[str],
    recipe: Recipe,
    rng: np.random.Generator,
) -> Iterator[_Made]:
    for film, patient in zip(squares, patients, strict=True):
        yield _Made(film, "frontal", patient, PLAIN[0])
        yield _Made(stretched(film), "frontal", patient, PLAIN[1])
        for _ in range(recipe.jitters):
            yield _Made(jittered(film, rng), "frontal", patient, "jittered film")
        yield from _changed(film, patient, recipe.changes, rng)
    side = squares.shape[1]
    for number in range(recipe.phantoms):
        group = f"phantom {number}"
        drawn = _exposed(rng, frontal_chest(rng), squares)
        for _ in range(2):
            yield _Made(jittered(drawn, rng), "frontal", group, "phantom")
        yield from _changed(drawn, group, recipe.changes, rng)
    for number in range(recipe.bodies):
        body, group = somebody(rng), f"body {number}"
        way = int(rng.choice([-1, 1]))
        angles = (rng.normal(0, 3), way * rng.normal(90, 5), way * rng.uniform(38, 62))
        for (family, kind), angle in zip(_VIEWS, angles, strict=True):
            picture = _exposed(rng, seen_from(body, float(angle), rng), squares)
            yield _Made(jittered(picture, rng), kind, group, family)
    for number in range(recipe.laterals):
        picture = _exposed(rng, side_chest(rng), squares)
        yield _Made(jittered(picture, rng), "lateral", f"side {number}", "side")
    for name, draw_part in PARTS.items():
        for number in range(recipe.parts):
            picture = _exposed(rng, draw_part(rng), squares)
            if rng.random() < 0.15:
                picture = np.asarray(255 - picture, np.uint8)
            yield _Made(jittered(picture, rng), "not_chest", f"{name} {number}", name)
    for name, draw in PICTURES.items():
        for number in range(recipe.others):
            picture = np.asarray(cv2.resize(draw(rng), (side, side)), np.uint8)
            yield _Made(jittered(picture, rng), "not_chest", f"{name} {number}", name)


def _changed(film: Picture, group: str, times: int, rng: np.random.Generator) -> Iterator[_Made]:
    """Change a film as often as told, by a change of another sort each time."""
    broken = [name for name, (kind, _) in CHANGES.items() if kind == "not_chest"]
    sorts = [*(name for name in CHANGES if name not in broken), str(rng.choice(broken))]
    for name in rng.permutation(sorts)[:times].tolist():
        kind, change = CHANGES[name]
        yield _Made(jittered(change(film, rng), rng), kind, group, name)


def _exposed(
    rng: np.random.Generator, density: NDArray[np.float32], squares: NDArray[np.uint8]
) -> Picture:
    """Expose a drawing; half of them get the fine structure of a real film.

    So smoothness does not tell that a picture was drawn.
    """
    side = squares.shape[1]
    picture = drawing.expose(rng, density, side)
    if rng.random() < 0.5:
        film = squares[int(rng.integers(len(squares)))].astype(np.float32)
        detail = film - cv2.GaussianBlur(film, (0, 0), side / 512 * rng.uniform(2, 6))
        if rng.random() < 0.5:
            detail = np.rot90(detail, int(rng.integers(4)))
        picture = np.asarray(np.clip(picture + rng.uniform(0.5, 1.5) * detail, 0, 255), np.uint8)
    return picture
