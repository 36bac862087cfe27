"""What training asks of evaluation: what is chosen, and how well the whole then does."""

from __future__ import annotations

from inference.bundle import Metric
from training.evaluation.choice import OPERATING_POINT, Choice, Judged, choose, operating_points
from training.evaluation.figures import DRAWS, key_figures
from training.evaluation.out_of_fold import out_of_fold

__all__ = ["OPERATING_POINT", "Choice", "Judged", "choose", "measure", "operating_points"]


def measure(films: Judged, *, draws: int = DRAWS) -> dict[str, Metric]:
    """Measure the key figures, each fold with what was chosen on the other folds."""
    return key_figures(out_of_fold(films, draws=draws))
