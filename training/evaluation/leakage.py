"""Whether evaluated films, or other films of their patients, were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.bundle import Bundle
from inference.kept import OutOfFold
from inference.reading import RefusedError
from training.cache import fingerprint_of
from training.evaluation.out_of_fold import pseudonym
from training.tables import Film


@dataclass(frozen=True, slots=True)
class Leakage:
    """How many of `total` films were trained on, and how many more are of patients trained on.

    None where it is unknown. `remark` says it in words, "" where nothing is to be said.
    """

    total: int
    films: int | None
    by_patient: int | None
    remark: str


def leakage(bundle: Bundle, kept: OutOfFold | None, films: Sequence[Film]) -> Leakage:
    """Hold films against those that the bundle was trained on.

    `kept` are the bundle's out-of-fold predictions, which name its training films by digest.
    Without them the bundle's fingerprint tells no more than whether the films are exactly those.
    """
    total = len(films)
    if kept is None:
        if _same(bundle, films):
            return Leakage(total, total, 0, _trained_on(total, 0, total))
        return Leakage(
            total,
            None,
            None,
            "This bundle does not name the films it was trained on, so whether some of these are"
            " among them cannot be told.",
        )
    seen = set(kept.films.tolist())
    patients = set(kept.known.patients.tolist()) if kept.known is not None else None
    direct = [film for film in films if pseudonym("film", film.id) in seen]
    others = [film for film in films if pseudonym("film", film.id) not in seen]
    if patients is None and others:
        remark = _trained_on(len(direct), 0, total) if direct else ""
        unknown = " Whether others are of patients it was trained on is not known."
        return Leakage(total, len(direct), None, remark + unknown if remark else unknown.strip())
    related = sum(pseudonym("patient", film.patient) in (patients or ()) for film in others)
    remark = _trained_on(len(direct), related, total) if direct or related else ""
    return Leakage(total, len(direct), related, remark)


def _same(bundle: Bundle, films: Sequence[Film]) -> bool:
    trained_on = bundle.trained_on
    if len(films) != trained_on.films:
        return False
    try:
        return fingerprint_of(films, bundle.input_form) == trained_on.fingerprint
    except RefusedError:  # it was not trained on a film that cannot be decoded
        return False


def _trained_on(films: int, by_patient: int, total: int) -> str:
    also = f", and {by_patient} more are of patients it was trained on" if by_patient else ""
    return (
        f"The bundle was trained on {films} of these {total} films{also}. The figures below are"
        " therefore better than it will do on new films: its honest figures are the"
        " out-of-fold ones in its model card."
    )
