"""The look at the picture refuses what is no upright frontal chest, and tells why truly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.bundle import load_bundle
from inference.eligibility import Stated
from inference.film_kind import check_film_kind
from inference.manifest import KINDS, FilmKinds
from inference.outcome import outcome
from inference.pixels import Letterbox
from inference.predict import Raw
from inference.prepare import Prepared
from inference.reading import Reading, Refusal, RefusalCode

RULE = FilmKinds(KINDS, threshold=0.5, contradicted_threshold=0.9, figures={})
SILENT = Stated(chest=False, frontal=False, upright=False)
EVERYTHING = Stated(chest=True, frontal=True, upright=True)


def logits(kind: str, share: float) -> NDArray[np.float32]:
    """Logits whose softmax gives `share` to `kind` and the rest to "frontal"."""
    values = np.full(len(KINDS), 1e-9)
    values[0] = 1 - share
    values[KINDS.index(kind)] = share
    return np.log(values).astype(np.float32)


def check(kind: str, share: float, stated: Stated = SILENT) -> Refusal | None:
    return check_film_kind(logits(kind, share), stated, RULE, "seer 2")


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("lateral", RefusalCode.VIEW, "a lateral view, and the header names no view"),
        ("not_chest", RefusalCode.NOT_A_CHEST, "no chest film, and the header names no body part"),
        ("rotated", RefusalCode.VIEW, "lies on its side or is upside down;"),
        ("inverted", RefusalCode.INVERTED, "inverted greys (air bright, bone dark);"),
    ],
)
def test_each_kind_is_refused_for_what_is_seen(kind: str, code: RefusalCode, words: str) -> None:
    refusal = check(kind, 0.6)
    assert refusal is not None
    assert refusal.code is code
    assert words in refusal.reason
    assert "seer 2" in refusal.reason
    assert refusal.reason.endswith(".")


def test_a_frontal_film_is_read() -> None:
    assert check("lateral", 0.49) is None
    assert check_film_kind(np.array([9, 0, 0, 0, 0], np.float32), SILENT, RULE, "seer 2") is None


def test_doubt_is_summed_over_the_kinds() -> None:
    """Neither kind alone reaches the threshold, and yet it is clearly no frontal film."""
    undecided = np.log(np.array([0.3, 0.4, 0.3, 1e-9, 1e-9])).astype(np.float32)
    refusal = check_film_kind(undecided, SILENT, RULE, "seer 2")
    assert refusal is not None
    assert "lateral" in refusal.reason


@pytest.mark.parametrize("kind", ["lateral", "not_chest", "rotated"])
def test_a_header_that_contradicts_raises_the_bar(kind: str) -> None:
    assert check(kind, 0.6, EVERYTHING) is None
    refusal = check(kind, 0.95, EVERYTHING)
    assert refusal is not None
    assert "although the header" in refusal.reason


@pytest.mark.parametrize(
    ("kind", "stated"),
    [
        ("lateral", Stated(chest=True, frontal=False, upright=True)),
        ("not_chest", Stated(chest=False, frontal=True, upright=True)),
        ("rotated", Stated(chest=True, frontal=True, upright=False)),
        ("inverted", EVERYTHING),
    ],
)
def test_a_header_that_speaks_of_something_else_does_not(kind: str, stated: Stated) -> None:
    refusal = check(kind, 0.6, stated)
    assert refusal is not None
    assert "although" not in refusal.reason


def test_a_header_cannot_lower_the_bar() -> None:
    with pytest.raises(ValueError, match="contradicted_threshold is lower"):
        FilmKinds(KINDS, threshold=0.9, contradicted_threshold=0.5, figures={})


def test_an_outcome_is_a_refusal_only_where_bundle_and_network_tell_kinds() -> None:
    bundle = replace(load_bundle(), film_kinds=RULE)
    square = np.zeros((512, 512), np.uint8)
    film = Prepared(square, Letterbox(1.0, 1.0, 0.0, 0.0, 512), 512, 512, "1.2", SILENT)
    plain = Raw(np.zeros(3, np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    lateral = replace(plain, kinds=logits("lateral", 0.8))
    assert isinstance(outcome(lateral, film, bundle), Refusal)
    assert isinstance(outcome(replace(plain, kinds=logits("lateral", 0.1)), film, bundle), Reading)
    assert isinstance(outcome(plain, film, replace(bundle, film_kinds=None)), Reading)
    assert isinstance(outcome(lateral, film, replace(bundle, film_kinds=None)), Reading)
