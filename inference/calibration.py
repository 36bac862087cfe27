"""From a network's logits to probabilities that can be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature scaling with a bias for each class.

    Probabilities are softmax(logits / temperature + biases) (Guo et al. 2017; with biases, which
    also move the classes' shares to those of the films it was chosen on, Alexandari et al. 2020).
    """

    temperature: float
    biases: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __call__(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probabilities (..., 3) of logits (..., 3)."""
        return softmax(logits.astype(np.float64) / self.temperature + np.array(self.biases))


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the softmax over the last axis, in double precision."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
