"""An opacity pasted on another film is there, is soft, and is where its box says."""

from __future__ import annotations

import numpy as np

from training.paste import ordinary_patches, paste

SIZE = 256
BOX = np.array([[60, 80, 120, 170]], np.float32)


def donor() -> np.ndarray:
    """A dark film with stripes in its box."""
    film = np.full((SIZE, SIZE), 40, np.uint8)
    film[80:170, 60:120] = 40 + 80 * (np.arange(60) // 6 % 2)
    return film


def test_what_is_in_the_box_comes_along_and_the_rest_of_the_film_stays() -> None:
    film = np.full((SIZE, SIZE), 120, np.uint8)
    made, boxes = paste(film, donor(), BOX, np.random.default_rng(0))
    (x0, y0, x1, y1) = boxes[0].round().astype(int)
    assert made[y0 + 15 : y1 - 15, x0 + 10 : x1 - 10].std() > 30
    changed = np.argwhere(made != film)
    margin = 0.2 * max(x1 - x0, y1 - y0)
    assert (changed >= [y0 - margin, x0 - margin]).all()
    assert (changed <= [y1 + margin, x1 + margin]).all()


def test_the_patch_is_as_bright_at_its_rim_as_the_film_was() -> None:
    film = np.full((SIZE, SIZE), 120, np.uint8)
    plain = np.full((SIZE, SIZE), 30, np.uint8)
    made, _ = paste(film, plain, BOX, np.random.default_rng(0))
    assert np.abs(made.astype(int) - 120).max() <= 1


def test_places_vary_a_little_and_stay_on_the_film() -> None:
    film = np.zeros((SIZE, SIZE), np.uint8)
    edge = np.array([[200, 190, 256, 256]], np.float32)
    places = [paste(film, donor(), edge, np.random.default_rng(k))[1][0] for k in range(20)]
    assert np.ptp(places, axis=0).max() > 4
    assert np.abs(np.array(places) - edge).max() < 40
    assert np.max(places) <= SIZE
    assert np.min(places) >= 0


def test_ordinary_patches_have_the_sizes_and_places_of_opacities_on_either_side() -> None:
    seen = np.concatenate(
        [ordinary_patches(BOX, SIZE, np.random.default_rng(k)) for k in range(40)]
    )
    assert {tuple(box) for box in seen.tolist()} == {
        tuple(BOX[0].tolist()),
        (SIZE - 120.0, 80.0, SIZE - 60.0, 170.0),
    }
