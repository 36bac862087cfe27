"""Every film in several augmented variants, through the frozen stem once: what is trained on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from training.augment import augment
from training.fit import Examples, Recipe
from training.losses import encode, heat_target
from training.networks import STRIDES, Network
from training.paste import ordinary_patches, paste
from training.stem import Features
from training.tables import LUNG_OPACITY

Boxes = NDArray[np.float32]

Variant = tuple[NDArray[np.uint8], Boxes, int]
T = TypeVar("T")

_AHEAD = 4
"""Films whose variants are made before they are needed."""
_NOTHING = np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A film as the network sees it, and what is known of it.

    `image` is (size, size) uint8, `boxes` (n, 4) x0, y0, x1, y1 in its pixels or None where nobody
    looked; `other` is true for films that are not of the challenge.
    """

    image: NDArray[np.uint8]
    boxes: Boxes | None
    label: int
    other: bool

    @property
    def clear(self) -> bool:
        """Whether the film is known to hold no opacity."""
        return self.boxes is not None and not len(self.boxes) and self.label != LUNG_OPACITY


def make_examples(
    network: Network,
    films: Sequence[Labelled],
    folds: NDArray[np.intp],
    recipe: Recipe,
    folder: Path,
    *,
    featurise: Callable[[NDArray[np.uint8]], Features],
    seed: int,
    say: Callable[[str], None],
) -> Examples:
    """Augment and featurise the films into `folder`; what is there already is taken as it is.

    What is pasted on a film comes from films of its own fold, so that no network trained without
    that fold has seen anything of it. Feature maps stay in files and are read as they are needed.
    """
    done = folder / "labels.npy"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make(network, films, folds, recipe, folder, featurise, seed, say)
    count = len(network.stem.outputs)
    return Examples(
        features=[np.load(_features_file(folder, k), mmap_mode="r") for k in range(count)],
        cells=np.load(folder / "cells.npy"),
        heat=np.load(folder / "heat.npy"),
        labels=np.load(done),
        boxed=np.array([film.boxes is not None for film in films], np.float32),
        other=np.array([film.other for film in films]),
    )


def _make(
    network: Network,
    films: Sequence[Labelled],
    folds: NDArray[np.intp],
    recipe: Recipe,
    folder: Path,
    featurise: Callable[[NDArray[np.uint8]], Features],
    seed: int,
    say: Callable[[str], None],
) -> None:
    shape = (len(films), recipe.variants)
    features = [
        np.lib.format.open_memmap(
            _features_file(folder, k), "w+", np.float16, (*shape, *output.shape[1:])
        )
        for k, output in enumerate(network.stem.outputs)
    ]
    side = network.size // STRIDES[0]
    cells, heat = [], np.zeros((*shape, side, side), np.float32)
    labels = np.zeros(shape, np.int32)

    def variants(number: int) -> list[Variant]:
        near = [other for other, fold in zip(films, folds, strict=True) if fold == folds[number]]
        rng = np.random.default_rng([seed, number])
        return [_variant(films[number], near, recipe, k, rng) for k in range(recipe.variants)]

    for number, made in enumerate(_ahead(variants, len(films))):
        found = featurise(np.stack([image for image, _, _ in made]))
        for kept, new in zip(features, found, strict=True):
            kept[number] = new
        cells.append(np.stack([encode(boxes, network.size) for _, boxes, _ in made]))
        heat[number] = [heat_target(boxes, network.size) for _, boxes, _ in made]
        labels[number] = [label for _, _, label in made]
        if (number + 1) % 100 == 0:
            say(f"{number + 1} of {len(films)} films in {recipe.variants} variants")
    np.save(folder / "cells.npy", np.stack(cells))
    np.save(folder / "heat.npy", heat)
    part = folder / "labels.part.npy"  # the last one, so that with it all is whole
    np.save(part, labels)
    part.rename(folder / "labels.npy")


def _ahead(make: Callable[[int], T], count: int) -> Iterator[T]:
    """Yield make(0), make(1), …, each made in a thread while the ones before it are used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(make, number) for number in range(min(_AHEAD, count)))
        for number in range(count):
            if number + _AHEAD < count:
                waiting.append(pool.submit(make, number + _AHEAD))
            yield waiting.popleft().result()


def _variant(
    film: Labelled,
    near: Sequence[Labelled],
    recipe: Recipe,
    number: int,
    rng: np.random.Generator,
) -> Variant:
    """One variant: image, boxes and label. The last ones of a clear film are pasted on."""
    image, label = film.image, film.label
    boxes = _NOTHING if film.boxes is None else film.boxes
    donors = [other for other in near if other.boxes is not None and len(other.boxes)]
    from_end = recipe.variants - 1 - number
    if film.clear and donors and from_end < recipe.pasted + recipe.controls:
        donor = donors[rng.integers(len(donors))]
        assert donor.boxes is not None
        if from_end < recipe.pasted:
            image, boxes = paste(image, donor.image, donor.boxes, rng)
            label = LUNG_OPACITY
        else:
            plain = [other for other in near if other.clear]
            patches = ordinary_patches(donor.boxes, len(image), rng)
            image, _ = paste(image, plain[rng.integers(len(plain))].image, patches, rng)
    image, boxes = augment(image, boxes, rng, recipe.augmentation)
    return image, boxes, label


def _features_file(folder: Path, level: int) -> Path:
    return folder / f"features-{level}.npy"
