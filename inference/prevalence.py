"""Probabilities calibrated at one prevalence, as they are at another: the shift of the prior.

Of the disease it is assumed to look the same everywhere; only how common it is differs (Saerens,
Latinne and Decaestecker 2002, equation 4).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PriorShift:
    """From the prevalence that probabilities were calibrated at to the one of a site, both 0 to 1.

    Probabilities and thresholds that go through the same shift keep their order, so what was at or
    above a threshold stays there: sensitivity and specificity of an operating point do not change.

    Raises:
        ValueError: a prevalence is not between 0 and 1.
    """

    calibrated: float
    site: float

    def __post_init__(self) -> None:
        """Refuse prevalences at which nothing can be shifted."""
        for prevalence in (self.calibrated, self.site):
            if not 0 < prevalence < 1:
                raise ValueError(f"a prevalence lies between 0 and 1, and {prevalence} does not")

    def __call__(self, probability: float) -> float:
        """Return the probability of the disease at the site; 0 and 1 stay as they are."""
        diseased = probability * self.site / self.calibrated
        healthy = (1 - probability) * (1 - self.site) / (1 - self.calibrated)
        return diseased / (diseased + healthy)
