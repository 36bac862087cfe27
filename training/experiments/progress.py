"""How far a run is, as it is told while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `done` of `total` films (decode, predict) or batches of `epoch` (train)."""

    stage: Literal["decode", "train", "predict"]
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None


Watch = Callable[[Progress], None]
