"""Histograms that are kept as text: which bins there are, how they are packed, added up and asked.

A packed histogram is base64 of pairs (bin, count), little-endian uint16 and uint32, without empty
bins. Packed histograms are added by putting their pairs behind each other.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
"""How many values lie in each bin."""

_PAIR = np.dtype([("bin", "<u2"), ("count", "<u4")])


class Bins:
    """The bins of one quantity: bin `i` holds what is at or above `edges[i]` and below the next.

    What lies below the first edge is counted in the first bin, so nothing is lost.
    """

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = np.asarray(edges, dtype=np.float64)

    def __len__(self) -> int:
        return len(self.edges)

    def pack(self, values: Sequence[float]) -> str:
        """Count values and pack the counts."""
        if not values:
            return ""
        found = np.searchsorted(self.edges, np.asarray(values, dtype=np.float64), side="right") - 1
        return _packed(np.bincount(np.maximum(found, 0)))

    def unpack(self, packed: Iterable[str]) -> Counts:
        """Add up packed histograms of this quantity."""
        pairs = np.frombuffer(b"".join(map(base64.b64decode, packed)), dtype=_PAIR)
        summed = np.bincount(pairs["bin"], weights=pairs["count"], minlength=len(self))
        return summed.astype(np.int64)

    def add(self, packed: Sequence[str]) -> str:
        """Add up packed histograms and pack the sum."""
        full = [each for each in packed if each]
        return full[0] if len(full) == 1 else _packed(self.unpack(full))


PROBABILITY = Bins([number / 1000 for number in range(1001)])
"""Of probabilities: a threshold with three decimals parts the counts exactly."""

LATENCY_RATIO = 1.02
_SHORTEST_SECONDS = 0.01
_LONGEST_SECONDS = 1e8
SECONDS = Bins(
    [
        0.0,
        *(
            _SHORTEST_SECONDS * LATENCY_RATIO**number
            for number in range(
                math.ceil(math.log(_LONGEST_SECONDS / _SHORTEST_SECONDS, LATENCY_RATIO))
            )
        ),
    ]
)
"""Of times, each bin 2 % wider than the one before: a quantile is right to 1 %."""

GREY = Bins([4.0 * number for number in range(64)])
"""Of mean greys, 0 to 255."""

GREY_SPREAD = Bins([2.0 * number for number in range(64)])
"""Of standard deviations of greys, 0 to 127.5."""


def quantile(counts: Counts, part: float) -> float | None:
    """Return the time that a part (0 to 1) of the times does not exceed; None where there is none.

    Nearest rank: of n times in order, the one at place ceil(part * n). It is told as the geometric
    mean of its bin's edges, in seconds; below 10 ms as 0.
    """
    total = int(counts.sum())
    if not total:
        return None
    rank = max(1, math.ceil(part * total - 1e-9))
    place = int(np.searchsorted(np.cumsum(counts), rank))
    return 0.0 if place == 0 else float(SECONDS.edges[place]) * math.sqrt(LATENCY_RATIO)


def at_or_above(counts: Counts, threshold: float) -> int:
    """Count the probabilities at or above a threshold with at most three decimals."""
    return int(counts[round(threshold * 1000) :].sum())


def coarser(counts: Counts, inner: Sequence[int]) -> Counts:
    """Add bins up to fewer: `inner` names the first bin of each new one but the first."""
    borders = [0, *inner, len(counts)]
    return np.array([counts[low:high].sum() for low, high in pairwise(borders)], dtype=np.int64)


def _packed(counts: Counts) -> str:
    full = np.flatnonzero(counts)
    pairs = np.empty(len(full), dtype=_PAIR)
    pairs["bin"], pairs["count"] = full, counts[full]
    return base64.b64encode(pairs.tobytes()).decode("ascii")
