"""The films of a training: decoded, labelled, and dealt to folds by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.manifest import CLASSES
from inference.pixels import InputForm
from training.cache import Square, fingerprint, load_squares
from training.evaluation.choice import Judged, Outputs
from training.splits import patient_folds
from training.tables import Film, read_kaggle, read_nih
from training.variants import Labelled


@dataclass(frozen=True, slots=True)
class Films:
    """Films with what is known of them; `folds` (n,) says which network never sees them.

    `own` (n,) tells the films of the challenge, of which alone figures are told, from others.
    """

    films: Sequence[Film]
    squares: Sequence[Square]
    folds: NDArray[np.intp]
    own: NDArray[np.bool_]
    form: InputForm

    @property
    def fingerprint(self) -> str:
        """SHA-256 over labels, boxes and pixels of the films, in order."""
        return fingerprint(self.films, self.squares)

    @property
    def images(self) -> NDArray[np.uint8]:
        """The films as the network sees them, (n, size, size)."""
        return np.stack([square.image for square in self.squares])

    @property
    def patients(self) -> list[str]:
        """The films' patients."""
        return [film.patient for film in self.films]

    def labelled(self) -> list[Labelled]:
        """The films as they are trained on."""
        return [
            Labelled(
                square.image,
                None if film.boxes is None else square.corners(film),
                film.label,
                film.source != "rsna",
            )
            for film, square in zip(self.films, self.squares, strict=True)
        ]

    def judged(self, outputs: Outputs) -> Judged:
        """The films with what networks that had not seen their patients gave for them."""
        return Judged(
            outputs=outputs,
            labels=np.array([film.label for film in self.films], np.int32),
            truth=[film.boxes for film in self.labelled()],
            patients=self.patients,
            folds=self.folds,
            views=[square.view for square in self.squares],
            size=self.form.size,
        )


def load_films(
    rsna: Path, nih: Path | None, form: InputForm, folder: Path, *, folds: int, seed: int
) -> Films:
    """Read the challenge's folder and, if there is one, a folder of NIH films.

    `folder` keeps the decoded films. Folds are by patient and have the same mix of classes.
    """
    films = read_kaggle(rsna) + (read_nih(nih) if nih is not None else [])
    own = np.array([film.source == "rsna" for film in films])
    fold_of = patient_folds(
        [film.patient for film in films],
        [film.label + len(CLASSES) * (film.source == "nih") for film in films],
        folds,
        seed=seed,
    )
    return Films(films, load_squares(films, form, folder), fold_of, own, form)
