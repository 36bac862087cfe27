"""A film as the browser gets it: a preview, and every stored value. Runs in a child process."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.decode import decode
from inference.pixels import Greys, display_image, greys, pixel_aspect

PREVIEW_SIDE = 768
"""Longest side of a preview, in pixels."""
FORM = "1"
"""Raised whenever the bytes that `pixels` makes of a film become others."""
MEDIA_TYPE = "application/vnd.hilum.film"

_MAGIC = b"HLMF"
_LEVEL = 1
"""Of gzip: the next one takes twice the time and saves a few percent."""


def preview(path: Path, max_pixels: int) -> bytes:
    """Return a small PNG of a film as a radiologist sees it, its pixels square.

    Raises:
        RefusedError: the film cannot be shown.
        OSError: it cannot be read.
    """
    header, stored = _decoded(path, max_pixels)
    image = display_image(header, stored)
    rows, columns = image.shape
    height = rows * pixel_aspect(header)
    scale = min(1.0, PREVIEW_SIDE / max(height, columns))
    size = (max(1, round(columns * scale)), max(1, round(height * scale)))
    _, png = cv2.imencode(".png", cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return png.tobytes()


def pixels(path: Path, max_pixels: int) -> bytes:
    """Return every stored value of a film without loss, and what it is shown as; gzip.

    Unpacked that is "HLMF", the length of a JSON text (uint32), the text itself with spaces behind
    it to a multiple of 4 bytes, and then for `entries` bit patterns their values in the modality's
    unit (float32), their greys when the film is opened (uint8, black to white) and whether they
    stay black (uint8). The pixels follow row by row, each as its difference from the one before
    (modulo 256 or 65536); of 16 bit ones all low bytes come first. All is little endian.

    The text tells `rows`, `columns`, `bytes` (of a pixel), `entries`, `aspect` (a pixel's height
    over its width), `inverted` (low values are bright) and the window that comes nearest to how
    the film is opened: from `low` to `high`, in the modality's unit.

    Raises:
        RefusedError: the film cannot be shown.
        OSError: it cannot be read.
    """
    header, stored = _decoded(path, max_pixels)
    taken = greys(header, stored)
    patterns, mask = _with_mask(taken)
    entries = int(patterns.max()) + 1
    low, high = window(taken)
    told = {
        "rows": patterns.shape[0],
        "columns": patterns.shape[1],
        "bytes": patterns.dtype.itemsize,
        "entries": entries,
        "aspect": pixel_aspect(header),
        "inverted": taken.inverted,
        "low": low,
        "high": high,
    }
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 4)
    known = min(entries, taken.values.size)
    values, shown = np.zeros(entries, "<f4"), np.zeros(entries, np.uint8)
    hidden = np.zeros(entries, np.uint8)
    values[:known] = taken.values[:known]
    shown[:known] = np.rint(taken.shown[:known] * 255)
    hidden[:known] = taken.hidden[:known]
    if mask is not None:
        hidden[mask] = 1
    parts = (_MAGIC, len(text).to_bytes(4, "little"), text, values, shown, hidden)
    body = b"".join(bytes(part) for part in parts) + _differences(patterns)
    return gzip.compress(body, _LEVEL, mtime=0)


def window(taken: Greys) -> tuple[float, float]:
    """Return the linear window that comes nearest to how a film is shown: first and last value.

    A film that is shown by a linear window has that one; else it is the straight line through the
    middle greys (PS3.3 C.11.2.1.3.2, LINEAR_EXACT).
    """
    used = np.flatnonzero(np.bincount(taken.patterns.ravel(), minlength=taken.values.size))
    used = used[~taken.hidden[used]]
    values = taken.values[used]
    if not values.size:
        return 0.0, 1.0
    shares = 1 - taken.shown[used] if taken.inverted else taken.shown[used]
    middle = (shares > 0.1) & (shares < 0.9)
    if np.unique(values[middle]).size >= 2:
        slope, start = np.polyfit(values[middle], shares[middle], 1)
        if slope > 0:
            return float(-start / slope), float((1 - start) / slope)
    low, high = float(values.min()), float(values.max())
    return low, max(high, low + 1)


@functools.lru_cache(maxsize=1)
def _decoded(path: Path, max_pixels: int) -> tuple[Dataset, NDArray[Any]]:
    """Decode a film; the last one is kept, for its preview is asked for just before it."""
    return decode(path, max_pixels=max_pixels)


def _with_mask(taken: Greys) -> tuple[NDArray[np.uint8 | np.uint16], int | None]:
    """Return the patterns, and which of them stands for what the shutter hides.

    It is one that the film does not use; where it uses all, what is hidden gets the darkest.
    """
    patterns: NDArray[Any] = taken.patterns
    if taken.masked is None:
        return patterns, None
    patterns = patterns.astype(np.uint16)
    free = np.flatnonzero(np.bincount(patterns.ravel(), minlength=1 << 16) == 0)
    patterns[taken.masked] = free[0] if free.size else np.argmin(taken.shown)
    return patterns, int(free[0]) if free.size else None


def _differences(patterns: NDArray[Any]) -> bytes:
    flat = patterns.ravel()
    steps = np.diff(flat, prepend=flat.dtype.type(0))
    if steps.dtype == np.uint8:
        return steps.tobytes()
    return (steps & 0xFF).astype(np.uint8).tobytes() + (steps >> 8).astype(np.uint8).tobytes()
