"""What a bundle does not keep beside its predictions, read again from the folders of its films."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from inference.kept import Known, OutOfFold
from inference.pixels import InputForm
from inference.reading import RefusedError
from training.cache import make_square
from training.evaluation.out_of_fold import known_of, pseudonym
from training.evaluation.traits import dicom_traits, nih_traits
from training.tables import Film, Source


def with_known(
    kept: OutOfFold,
    films: Sequence[Film],
    form: InputForm,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> OutOfFold:
    """Return those of the kept predictions whose films are given, with what is known of them.

    Films are told by the digests of their ids, and the order stays that of `kept`, as a bootstrap
    goes by it. True boxes and mean intensity need the films' pixels, so every film is decoded.

    Args:
        kept: The predictions.
        films: Films with their labels, the folders' that a person named.
        form: The network's input, in whose pixels the true boxes are.
        tell: Told how many films are decoded, of how many.

    Raises:
        ValueError: no film is among those kept, one is missing though films of every source are
            given, or one cannot be decoded.
    """
    given = {pseudonym("film", film.id): film for film in reversed(films)}  # the first one counts
    at = np.array([k for k, name in enumerate(kept.films.tolist()) if name in given], np.intp)
    missing = len(kept.films) - len(at)
    if not len(at):
        raise ValueError(
            "no film of the named folders is among those that predictions are kept of; name the"
            " folders of the films that the bundle was trained on"
        )
    if missing and {film.source for film in films} == set(get_args(Source)):
        raise ValueError(
            f"{missing} of the {len(kept.films)} films that predictions are kept of are in none of"
            " the named folders; name the whole folders that the bundle was trained on"
        )
    found = _take(kept, at)
    return dataclasses.replace(
        found, known=_known([given[name] for name in found.films.tolist()], form, tell)
    )


def _known(films: Sequence[Film], form: InputForm, tell: Callable[[int, int], None]) -> Known:
    truth, views, sexes, ages, intensity, broken = [], [], [], [], [], 0
    traits_of_nih = nih_traits(films)
    for done, film in enumerate(films, 1):
        try:
            square = make_square(film, form)
            traits = traits_of_nih.get(film.id) or dicom_traits(film.path)
        except RefusedError:
            broken += 1
            continue
        truth.append(None if film.boxes is None else square.corners(film))
        views.append(square.view or traits.view)
        sexes.append(traits.sex)
        ages.append(traits.age)
        intensity.append(float(square.image.mean()))
        tell(done, len(films))
    if broken:
        raise ValueError(
            f"{broken} of the films that predictions are kept of cannot be decoded; name folders"
            " whose films are as they were when the bundle was trained"
        )
    return known_of(
        labels=[film.label for film in films],
        truth=truth,
        patients=[film.patient for film in films],
        views=views,
        sexes=sexes,
        ages=ages,
        sources=[film.source for film in films],
        intensity=intensity,
    )


def _take(kept: OutOfFold, at: NDArray[np.intp]) -> OutOfFold:
    candidates = np.isin(np.repeat(np.arange(len(kept.films)), kept.counts), at)
    return dataclasses.replace(
        kept,
        films=kept.films[at],
        folds=kept.folds[at],
        logits=kept.logits[at],
        counts=kept.counts[at],
        boxes=kept.boxes[candidates],
        scores=kept.scores[candidates],
    )
