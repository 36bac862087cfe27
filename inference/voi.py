"""Modality LUT and VOI LUT (PS3.3 C.11.1 and C.11.2), applied to a list of values.

The lists are all values that a film can hold, at most 65,536, not its pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference import elements

_LEAST_SHARE = 0.99
"""Of its entries that a LUT has at least: the last one stands for the few that are missing."""


def modality_values(header: Dataset, stored: NDArray[Any]) -> NDArray[np.float64]:
    """Bring stored values to the modality's own: its LUT, else slope and intercept (C.11.1.1)."""
    for item in elements.items(header, "ModalityLUTSequence"):
        lut = read_lut(item, header, signed=elements.integer(header, "PixelRepresentation") == 1)
        if lut is not None:
            return lut.apply(stored)
    slope = elements.number(header, "RescaleSlope")
    intercept = elements.number(header, "RescaleIntercept")
    return stored.astype(np.float64) * (slope or 1.0) + (intercept or 0.0)


def voi_values(header: Dataset, modality: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Bring modality values to brightness, 0 to 1; None where the header has no usable VOI.

    The first LUT of the VOI LUT Sequence, else the first window: LINEAR (C.11.2.1.2.1),
    LINEAR_EXACT (C.11.2.1.3.2) or SIGMOID (C.11.2.1.3.1).
    """
    for item in elements.items(header, "VOILUTSequence"):
        lut = read_lut(item, header, signed=bool(modality.min() < 0))
        if lut is not None:
            return lut.apply(modality) / lut.top
    center, width = elements.number(header, "WindowCenter"), elements.number(header, "WindowWidth")
    if center is None or width is None:
        return None
    function = elements.text(header, "VOILUTFunction")
    if function == "SIGMOID" and width > 0:
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-4 * (modality - center) / width)))
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((modality - center) / width + 0.5, 0, 1)
    if width < 1:
        return None
    center -= 0.5
    if width == 1:
        return np.where(modality > center, 1.0, 0.0)
    return np.clip((modality - center) / (width - 1) + 0.5, 0, 1)


class Lut:
    """A LUT as its descriptor says (C.11.1.1, C.11.2.1.1): values outside take the end entries.

    `first` is the value that the first entry of `data` is for; the entries have `bits` bits.
    """

    def __init__(self, first: int, data: NDArray[np.uint16], bits: int) -> None:
        self.first = first
        self.data = data
        self.bits = bits
        self.top = float(max((1 << bits) - 1, int(data.max())))

    def apply(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Look values up."""
        places = np.clip(np.rint(values) - self.first, 0, len(self.data) - 1).astype(np.int64)
        return np.asarray(self.data[places], dtype=np.float64)


def read_lut(item: Dataset, header: Dataset, *, signed: bool) -> Lut | None:
    """Read the LUT of a sequence item; None where it is not usable.

    `signed` tells whether the values that are looked up may be negative.
    """
    descriptor = elements.numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    entries, first, bits = (int(value) for value in descriptor)
    entries = entries % 65536 or 65536  # 65536 entries are written as 0; some are read as signed
    if signed and first > 32767:
        first -= 65536
    elif not signed and first < 0:
        first += 65536
    data = _lut_data(item, header, entries)
    if data is None or data.size < _LEAST_SHARE * entries or not 8 <= bits <= 16:
        return None
    return Lut(first, data[:entries], bits)


def _lut_data(item: Dataset, header: Dataset, entries: int) -> NDArray[np.uint16] | None:
    """LUT Data (0028,3006), whether written as words or as bytes."""
    value = item.get("LUTData")
    if isinstance(value, bytes):
        little = header.original_encoding[1] is not False
        if entries <= len(value) < 2 * entries:
            return np.frombuffer(value, np.uint8).astype(np.uint16)
        whole = value[: len(value) // 2 * 2]
        data = np.frombuffer(whole, "<u2" if little else ">u2").astype(np.uint16)
    elif isinstance(value, int):
        data = np.array([value], np.uint16)
    elif value is None:
        return None
    else:
        data = (np.array(list(value), np.int64) % 65536).astype(np.uint16)
    return data if data.size else None
