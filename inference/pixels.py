"""From stored values to the image a radiologist sees, and from that to the network's square.

The order is PS3.4 N.2's: Modality LUT, VOI LUT, presentation. All of it is one table from stored
value to grey, which is looked up once per pixel. Overlays (60xx) are not drawn: they are writing on
the film, not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from inference import elements
from inference.shutter import open_area
from inference.voi import modality_values, voi_values

AUTOMATIC_WINDOW_PERCENTILES = (0.5, 99.5)
"""Share of a film's values, in percent, that the automatic window runs between."""


def display_image(header: Dataset, stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Show stored values as a radiologist sees them: (rows, columns), air black and bone white.

    `stored` is what `inference.decode.decode` returns. The geometry stays that of the stored image.
    Rules: Modality LUT (PS3.3 C.11.1), VOI LUT or window (C.11.2), Presentation LUT Shape (C.11.6)
    or else Photometric Interpretation (C.7.6.3.1.2), pixel padding (C.7.5.1.1.2) and display
    shutter (C.7.6.11), both drawn black; colour becomes luminance. Without a window, 8 bit films
    are taken as they are, and deeper ones are shown between `AUTOMATIC_WINDOW_PERCENTILES` of
    their values, padding left out. A film that its own window would leave in a single grey is
    treated as one without a window.
    """
    if stored.ndim == 3:
        grey = np.asarray(cv2.cvtColor(stored, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    elif elements.text(header, "PhotometricInterpretation") == "PALETTE COLOR":
        grey = _palette_to_grey(header, stored)
    else:
        grey = _monochrome(header, stored)
    shutter = open_area(header, grey.shape[0], grey.shape[1])
    return grey if shutter is None else np.where(shutter, grey, np.uint8(0))


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a film lies in the network's square: input = image * scale + offset, in pixels.

    Coordinates run along pixel edges: 0 is the left edge of the first pixel, `columns` the right
    edge of the last.
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    size: int

    def to_image(
        self, x0: float, y0: float, x1: float, y1: float
    ) -> tuple[float, float, float, float]:
        """Bring corners from network pixels to pixels of the full image (not clipped to it)."""
        return (
            (x0 - self.offset_x) / self.scale_x,
            (y0 - self.offset_y) / self.scale_y,
            (x1 - self.offset_x) / self.scale_x,
            (y1 - self.offset_y) / self.scale_y,
        )

    def to_input(
        self, x0: float, y0: float, x1: float, y1: float
    ) -> tuple[float, float, float, float]:
        """Bring corners from pixels of the full image to network pixels."""
        return (
            x0 * self.scale_x + self.offset_x,
            y0 * self.scale_y + self.offset_y,
            x1 * self.scale_x + self.offset_x,
            y1 * self.scale_y + self.offset_y,
        )


def letterbox(
    image: NDArray[np.uint8], size: int, *, pixel_aspect: float = 1.0
) -> tuple[NDArray[np.uint8], Letterbox]:
    """Fit a film into a (size, size) square: shape kept, centred, black bars.

    `pixel_aspect` is a pixel's height over its width, see `pixel_aspect`.
    """
    rows, columns = image.shape
    scale = size / max(rows * pixel_aspect, columns)
    width = min(size, max(1, round(columns * scale)))
    height = min(size, max(1, round(rows * pixel_aspect * scale)))
    shrinking = width <= columns and height <= rows
    resized = cv2.resize(
        image,
        (width, height),
        interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR,
    )
    left, top = (size - width) // 2, (size - height) // 2
    box = Letterbox(width / columns, height / rows, float(left), float(top), size)
    if (height, width) == (size, size):
        return np.asarray(resized, dtype=np.uint8), box
    square = np.zeros((size, size), np.uint8)
    square[top : top + height, left : left + width] = resized
    return square, box


def pixel_aspect(header: Dataset) -> float:
    """A pixel's height over its width (PS3.3 C.7.6.3.1.7, 10.7.1); 1.0 where it is not told.

    Ratios beyond 1:4 are taken for nonsense, and so for 1.0.
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        values = elements.numbers(header, keyword)
        if len(values) == 2 and min(values) > 0:
            ratio = values[0] / values[1]
            return ratio if 0.25 <= ratio <= 4 else 1.0
    return 1.0


def _palette_to_grey(header: Dataset, stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Colour by palette (PS3.3 C.7.9), then luminance."""
    colour = apply_color_lut(stored, header)
    if colour.dtype != np.uint8:
        colour = (colour >> 8).astype(np.uint8)
    return np.asarray(
        cv2.cvtColor(np.ascontiguousarray(colour[..., :3]), cv2.COLOR_RGB2GRAY), dtype=np.uint8
    )


def _monochrome(header: Dataset, stored: NDArray[Any]) -> NDArray[np.uint8]:
    lowest, highest = _stored_range(header, stored)
    values = np.arange(lowest, highest + 1)
    padding = _padding(header, stored, values)
    inverted = _is_inverted(header)
    modality = modality_values(header, values)
    windowed = voi_values(header, modality)
    image: NDArray[np.uint8] | None = None
    if windowed is not None:
        image = _look_up(stored, _grey_table(windowed, inverted, padding), lowest)
    if image is None or _is_flat(image):
        if stored.dtype.itemsize == 1:
            window = (float(modality.min()), float(modality.max()))
        else:
            window = _automatic_window(stored, modality, padding, lowest)
        automatic = _between(modality, *window)
        image = _look_up(stored, _grey_table(automatic, inverted, padding), lowest)
    return image


def _stored_range(header: Dataset, stored: NDArray[Any]) -> tuple[int, int]:
    """The values that Bits Stored allows (PS3.3 C.7.6.3), widened to those that are there."""
    bits = elements.integer(header, "BitsStored") or 8 * stored.dtype.itemsize
    signed = np.issubdtype(stored.dtype, np.signedinteger)
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if bits == 8 * stored.dtype.itemsize:
        return lowest, highest
    return min(lowest, int(stored.min())), max(highest, int(stored.max()))


def _padding(header: Dataset, stored: NDArray[Any], values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are padding: Pixel Padding Value, up to Range Limit (PS3.3 C.7.5.1.1.2)."""
    first = elements.integer(header, "PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, np.bool_)
    limit = elements.integer(header, "PixelPaddingRangeLimit")
    ends = sorted(_as_stored(end, stored) for end in (first, first if limit is None else limit))
    return np.asarray((values >= ends[0]) & (values <= ends[1]))


def _as_stored(value: int, stored: NDArray[Any]) -> int:
    """Undo a padding value written with the other signedness than the pixels, as some are."""
    span = 1 << 8 * stored.dtype.itemsize
    bounds = np.iinfo(stored.dtype)
    if value > bounds.max:
        return value - span
    return value + span if value < bounds.min else value


def _is_inverted(header: Dataset) -> bool:
    """Whether low values are bright.

    Presentation LUT Shape decides where it stands (PS3.3 C.11.6), else Photometric Interpretation
    (C.7.6.3.1.2). A DX image has both, saying the same (C.8.11.3), and is inverted once.
    """
    shape = elements.text(header, "PresentationLUTShape")
    if shape in ("INVERSE", "IDENTITY"):
        return shape == "INVERSE"
    return elements.text(header, "PhotometricInterpretation") == "MONOCHROME1"


def _grey_table(
    shares: NDArray[np.float64], inverted: bool, padding: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """From brightness 0 to 1 of each value to its grey, the padding black."""
    greys = np.rint((1 - shares if inverted else shares) * 255).astype(np.uint8)
    greys[padding] = 0
    return greys


def _look_up(stored: NDArray[Any], table: NDArray[np.uint8], lowest: int) -> NDArray[np.uint8]:
    if stored.dtype == np.uint8:
        if np.array_equal(table, np.arange(256)):
            return stored
        full = np.resize(table, 256) if len(table) < 256 else table
        return np.asarray(cv2.LUT(stored, full), dtype=np.uint8)
    # Values lie at their own two's complement, so that no pixel is touched but by the look-up.
    cells = 1 << 8 * stored.dtype.itemsize
    spread = np.zeros(cells, np.uint8)
    spread[np.arange(lowest, lowest + len(table)) % cells] = table
    unsigned: NDArray[np.uint8 | np.uint16] = stored.view(
        np.uint8 if stored.dtype.itemsize == 1 else np.uint16
    )
    return np.take(spread, unsigned)


def _is_flat(image: NDArray[np.uint8]) -> bool:
    low, high, _, _ = cv2.minMaxLoc(image)
    return bool(low == high)


def _automatic_window(
    stored: NDArray[Any], modality: NDArray[np.float64], padding: NDArray[np.bool_], lowest: int
) -> tuple[float, float]:
    """The modality values at `AUTOMATIC_WINDOW_PERCENTILES` of the film without its padding."""
    counts = np.bincount((stored.ravel().astype(np.int32) - lowest), minlength=len(modality))
    counts[padding] = 0
    order = np.argsort(modality, kind="stable")
    reached = np.cumsum(counts[order])
    if reached[-1] == 0:
        return float(modality.min()), float(modality.max())
    ends = [
        int(np.searchsorted(reached, reached[-1] * percent / 100))
        for percent in AUTOMATIC_WINDOW_PERCENTILES
    ]
    low, high = (float(modality[order[min(end, len(order) - 1)]]) for end in ends)
    return low, high


def _between(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    if high <= low:
        return np.asarray(values >= high, dtype=np.float64)
    return np.clip((values - low) / (high - low), 0, 1)
