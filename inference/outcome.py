"""What becomes of a film that the network has seen: a Reading, or a Refusal for what it shows."""

from __future__ import annotations

from pathlib import Path

from inference.bundle import Bundle
from inference.film_kind import check_film_kind
from inference.predict import Predictor, Raw, reading
from inference.prepare import Limits, Prepared, prepare
from inference.reading import Reading, Refusal


def outcome(raw: Raw, film: Prepared, bundle: Bundle) -> Reading | Refusal:
    """Return the reading of a film, unless the network sees that it is no upright frontal chest.

    Args:
        raw: What the network gave for the film.
        film: The film as it was prepared.
        bundle: The bundle that gave `raw`; one without `film_kinds` refuses nothing here.
    """
    if bundle.film_kinds is not None and raw.kinds is not None:
        refusal = check_film_kind(raw.kinds, film.stated, bundle.film_kinds, bundle.label)
        if refusal is not None:
            return refusal
    return reading(raw, film.letterbox, film.rows, film.columns, bundle)


def read_film(predictor: Predictor, path: Path, limits: Limits) -> Reading | Refusal:
    """Read one film from its file, by itself, as the worker would.

    Raises:
        OSError: the film cannot be read.
    """
    prepared = prepare(path, predictor.bundle.input_form, limits)
    if isinstance(prepared, Refusal):
        return prepared
    (raw,) = predictor.predict(prepared.input[None])
    return outcome(raw, prepared, predictor.bundle)
