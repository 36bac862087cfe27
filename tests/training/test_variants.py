"""What is trained on: variants whose labels tell of what was pasted, from the film's own fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.augment import Augmentation
from training.fit import Examples, Recipe
from training.networks import Network, build
from training.stem import featurise
from training.tables import LUNG_OPACITY, NORMAL
from training.variants import Labelled, make_examples

SIZE = 64
STILL = Augmentation(0, 0, 0, 0, 0, 0, 0, 0)
RECIPE = Recipe(variants=4, pasted=1, controls=1, augmentation=STILL)
FOLDS = np.array([0, 0, 1, 1])


def films() -> list[Labelled]:
    """A film with an opacity and one without in each fold; the opacity's greys name its fold."""
    made = []
    for grey in (200, 255):
        ill = np.zeros((SIZE, SIZE), np.uint8)
        ill[20:50:2, 10:30] = grey
        box = np.array([[10, 20, 30, 50]], np.float32)
        made.append(Labelled(ill, box, LUNG_OPACITY, False))
        clear = np.zeros((SIZE, SIZE), np.uint8)
        made.append(Labelled(clear, np.zeros((0, 4), np.float32), NORMAL, True))
    return made


@pytest.fixture(scope="module")
def network() -> Network:
    return build(SIZE, None, seed=0)


def examples(network: Network, folder: Path, seen: list[np.ndarray]) -> Examples:
    def kept(images: np.ndarray) -> list[np.ndarray]:
        seen.append(images)
        return list(featurise(network.stem, images))

    return make_examples(
        network, films(), FOLDS, RECIPE, folder, featurise=kept, seed=0, say=lambda _: None
    )


def test_pasted_variants_are_of_opacity_and_controls_are_not(
    network: Network, tmp_path: Path
) -> None:
    seen: list[np.ndarray] = []
    found = examples(network, tmp_path / "made", seen)
    assert found.labels.tolist() == [[LUNG_OPACITY] * 4, [NORMAL] * 3 + [LUNG_OPACITY]] * 2
    assert found.other.tolist() == [False, True] * 2
    assert (found.heat[1].max(axis=(1, 2)) > 0).tolist() == [False, False, False, True]
    assert (found.cells[1, :, :, 0] == 1).any(axis=1).tolist() == [False, False, False, True]
    assert (found.cells[0, :, :, 0] == 1).any(axis=1).all()
    assert [images[3].max() > 0 for images in seen] == [True] * 4
    assert [images[2].max() > 0 for images in seen] == [True, False] * 2


def test_what_is_pasted_comes_from_the_films_own_fold(network: Network, tmp_path: Path) -> None:
    seen: list[np.ndarray] = []
    examples(network, tmp_path / "made", seen)
    brightness = [int(images[3].max()) for images in seen]
    assert brightness[1] < 215 < brightness[3]


def test_features_are_those_of_the_variants_and_are_made_once(
    network: Network, tmp_path: Path
) -> None:
    seen: list[np.ndarray] = []
    found = examples(network, tmp_path / "made", seen)
    for kept, new in zip(found.features, featurise(network.stem, seen[1]), strict=True):
        assert kept.dtype == np.float16
        assert np.array_equal(kept[1], new)
    count = len(seen)
    again = examples(network, tmp_path / "made", seen)
    assert len(seen) == count
    assert np.array_equal(again.labels, found.labels)
    assert np.array_equal(again.features[0], found.features[0])
