"""Cases made by hand: a probability, a label, and boxes where they matter."""

from __future__ import annotations

from typing import Any

from training.evaluation.case import Case, Predictions

BOX = (10.0, 10.0, 50.0, 60.0)


def case(number: int, opacity: float, label: int, **fields: Any) -> Case:
    """A film of a patient of its own, without boxes."""
    values: dict[str, Any] = {
        "film": f"film-{number}",
        "patient": f"patient-{number}",
        "fold": 0,
        "source": "rsna",
        "label": label,
        "view": "PA",
        "sex": "F",
        "age": "41-60",
        "width": 100,
        "height": 100,
        "probabilities": ((1 - opacity) / 2, (1 - opacity) / 2, opacity),
        "thresholds": {"youden": 0.5, "sensitivity_95": 0.2, "specificity_90": 0.8},
        "truth": (BOX,) if label == 2 else (),
    }
    return Case(**{**values, **fields})


def predictions(*cases: Case) -> Predictions:
    """Cases judged at the operating point "youden"."""
    return Predictions("youden", cases)
