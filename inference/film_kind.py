"""What kind of picture the network sees, and whether a film is refused for it.

The header's rules (`inference.eligibility`) come first; this catches what headers do not tell or
tell wrongly. A header that contradicts what is seen raises the bar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.eligibility import Stated
from inference.manifest import FilmKinds
from inference.reading import Refusal, RefusalCode


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind that is not read is told: what is seen, and what the header says to that."""

    code: RefusalCode
    seen: str
    contradicted: str
    silent: str


_REFUSED = {
    "lateral": _Kind(
        RefusalCode.VIEW,
        "a lateral view",
        ", although the header names a frontal one",
        ", and the header names no view",
    ),
    "not_chest": _Kind(
        RefusalCode.NOT_A_CHEST,
        "a picture that is no chest film",
        ", although the header says chest",
        ", and the header names no body part",
    ),
    "rotated": _Kind(
        RefusalCode.VIEW,
        "a film that lies on its side or is upside down",
        ", although the header says that it is upright",
        "",
    ),
    "inverted": _Kind(
        RefusalCode.INVERTED, "a film with inverted greys (air bright, bone dark)", "", ""
    ),
}


def check_film_kind(
    logits: NDArray[np.float32], stated: Stated, rule: FilmKinds, model: str
) -> Refusal | None:
    """Decide by what the network sees whether a film is read; None if it is.

    Args:
        logits: (5,) in the order of `bundle.KINDS`.
        stated: What the film's header states.
        rule: The bundle's thresholds.
        model: The name and version of the model, for the reason.
    """
    exponents = np.exp(logits.astype(np.float64) - float(logits.max()))
    probabilities = exponents / exponents.sum()
    name = rule.classes[1 + int(probabilities[1:].argmax())]
    contradicted = _contradicts(stated, name)
    bar = rule.contradicted_threshold if contradicted else rule.threshold
    if 1 - probabilities[0] < bar:
        return None
    kind = _REFUSED[name]
    header = kind.contradicted if contradicted else kind.silent
    return Refusal(
        kind.code,
        f"The picture check of {model} sees {kind.seen}{header}; only upright frontal chest films"
        " are read.",
    )


def _contradicts(stated: Stated, kind: str) -> bool:
    """Whether the header states the opposite; no header tells that greys are as they should be."""
    return {"lateral": stated.frontal, "not_chest": stated.chest, "rotated": stated.upright}.get(
        kind, False
    )
