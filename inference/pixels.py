"""From stored values to the image a radiologist sees, and from that to the network's square.

The order is PS3.4 N.2's: Modality LUT, VOI LUT, presentation. All of it is one table from stored
value to grey, which is looked up once per pixel. Overlays (60xx) are not drawn: they are writing on
the film, not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from inference import elements
from inference.reading import RefusalCode, RefusedError
from inference.shutter import open_area
from inference.voi import modality_values, voi_values

AUTOMATIC_WINDOW_PERCENTILES = (0.5, 99.5)
"""Share of a film's values, in percent, that the automatic window runs between."""

FINE_STEPS = 256
"""Into how many steps `fine_display_image` divides a grey."""

_PIXELS_AT_ONCE = 1_000_000

Contrast = Literal["as_shown", "percentiles"]
Grey = TypeVar("Grey", np.uint8, np.uint16)


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
    grey = _colour_as_grey(header, stored)
    if grey is None:
        padding, shares = _monochrome(header, stored, whole=False)
        table = np.rint(shares * 255).astype(np.uint8)
        table[padding] = 0
        as_it_is = stored.dtype == np.uint8 and np.array_equal(table, np.arange(256))
        grey = stored if as_it_is else _looked_up(table, stored)  # mostly it is
    return _shuttered(header, grey)


def fine_display_image(header: Dataset, stored: NDArray[Any]) -> NDArray[np.uint16]:
    """Show stored values as `display_image` does, in `FINE_STEPS` steps a grey (0 to 65280).

    For networks that take "percentiles": what a window, a LUT or an inversion makes of a value is
    not rounded before greys are averaged and spread, so that the same picture stored otherwise is
    the same to them. Without a window, all values in use are shown, for percentiles are taken only
    later.
    """
    grey = _colour_as_grey(header, stored)
    if grey is not None:
        return _shuttered(header, _fine(grey))
    padding, shares = _monochrome(header, stored, whole=True)
    table = np.rint(shares * (255 * FINE_STEPS)).astype(np.uint16)
    table[padding] = 0
    return _shuttered(header, _looked_up(table, stored))


@dataclass(frozen=True, slots=True)
class Greys:
    """A film's values, for who sets the window himself; each table goes by bit pattern.

    `patterns` is (rows, columns) uint8 or uint16: the stored values without their sign. The tables
    have an entry for each of 2**8 or 2**16 patterns: `values` in the modality's unit, `shown` what
    `display_image` makes of it, 0 to 1, and `hidden` whether it is padding. `inverted` tells that
    low values are bright. `masked` is (rows, columns): what the shutter hides; None: nothing.
    """

    patterns: NDArray[np.uint8 | np.uint16]
    values: NDArray[np.float64]
    shown: NDArray[np.float64]
    hidden: NDArray[np.bool_]
    inverted: bool
    masked: NDArray[np.bool_] | None


def greys(header: Dataset, stored: NDArray[Any]) -> Greys:
    """Take a film apart into its values and what they are shown as; colour becomes luminance.

    Looking `shown` up for each pixel, and drawing what is hidden or masked black, gives
    `display_image`.
    """
    opened = open_area(header, stored.shape[0], stored.shape[1])
    masked = None if opened is None else np.logical_not(opened)
    grey = _colour_as_grey(header, stored)
    if grey is not None:
        every = np.arange(256, dtype=np.float64)
        return Greys(grey, every, every / 255, np.zeros(256, np.bool_), False, masked)
    hidden, shown = _monochrome(header, stored, whole=False)
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    every = np.arange(1 << 8 * stored.dtype.itemsize, dtype=unsigned).view(stored.dtype)
    values = modality_values(header, every.astype(np.int32))
    return Greys(stored.view(unsigned), values, shown, hidden, is_inverted(header), masked)


def _fine(grey: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return np.asarray(np.multiply(grey, np.uint16(FINE_STEPS), dtype=np.uint16))


def _shuttered(header: Dataset, grey: NDArray[Grey]) -> NDArray[Grey]:
    opened = open_area(header, grey.shape[0], grey.shape[1])
    return grey if opened is None else np.where(opened, grey, grey.dtype.type(0))


def _colour_as_grey(header: Dataset, stored: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Colour as its luminance; None for a film that has none."""
    if stored.ndim == 3:
        return np.asarray(cv2.cvtColor(stored, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    if elements.text(header, "PhotometricInterpretation") == "PALETTE COLOR":
        return _palette_to_grey(header, stored)
    return None


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
    image: NDArray[Grey], size: int, *, pixel_aspect: float = 1.0
) -> tuple[NDArray[Grey], Letterbox]:
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
        return np.asarray(resized, dtype=image.dtype), box
    square = np.zeros((size, size), image.dtype)
    square[top : top + height, left : left + width] = resized
    return square, box


@dataclass(frozen=True, slots=True)
class InputForm:
    """What a network takes: a square of `size` pixels a side.

    `contrast` "as_shown" leaves the greys of the display image; "percentiles" spreads those
    between `AUTOMATIC_WINDOW_PERCENTILES` of the film's pixels over the whole range, so that
    the network sees the same whatever linear window the film came with.
    """

    size: int
    contrast: Contrast = "as_shown"


def network_input(
    image: NDArray[np.uint8], form: InputForm, *, pixel_aspect: float = 1.0
) -> tuple[NDArray[np.uint8], Letterbox]:
    """Bring a display image to the network's square; the black bars stay black.

    `pixel_aspect` is a pixel's height over its width, see `pixel_aspect`.
    """
    if form.contrast == "as_shown":
        return letterbox(image, form.size, pixel_aspect=pixel_aspect)
    return spread_input(_fine(image), form.size, pixel_aspect=pixel_aspect)


def spread_input(
    fine: NDArray[np.uint16], size: int, *, pixel_aspect: float = 1.0
) -> tuple[NDArray[np.uint8], Letterbox]:
    """Bring a `fine_display_image` to the square of a network that takes "percentiles".

    It is shrunk and spread before greys are rounded, so that what a film was rounded to earlier
    averages out.
    """
    square, box = letterbox(fine, size, pixel_aspect=pixel_aspect)
    rows, columns = fine.shape
    x0, y0, x1, y1 = (round(edge) for edge in box.to_input(0, 0, columns, rows))
    spread = np.zeros(square.shape, np.uint8)
    spread[y0:y1, x0:x1] = stretch(np.ascontiguousarray(square[y0:y1, x0:x1]))
    return spread, box


def stretch(film: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.uint8]:
    """Spread what lies between `AUTOMATIC_WINDOW_PERCENTILES` of the pixels over 0 to 255.

    Percentiles lie between the greys in use where these jump, so that what is rounded half a grey
    darker or brighter comes out the same.
    """
    counts = _counts(film)
    used = np.flatnonzero(counts)
    reached = np.cumsum(counts[used], dtype=np.float64) - counts[used] / 2
    ends = counts.sum(dtype=np.float64) * np.array(AUTOMATIC_WINDOW_PERCENTILES) / 100
    low, high = np.interp(ends, reached, used)
    table = _between(np.arange(counts.size, dtype=np.float64), float(low), float(high))
    return np.asarray(np.rint(table * 255).astype(np.uint8)[film], np.uint8)


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
    """Colour by palette (PS3.3 C.7.9), then luminance. Raises RefusedError where it is damaged."""
    try:
        colour = apply_color_lut(stored, header)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The palette of the image's colours is missing or damaged."
        ) from None
    if colour.dtype != np.uint8:
        colour = (colour >> 8).astype(np.uint8)
    return np.asarray(
        cv2.cvtColor(np.ascontiguousarray(colour[..., :3]), cv2.COLOR_RGB2GRAY), dtype=np.uint8
    )


def _monochrome(
    header: Dataset, stored: NDArray[Any], *, whole: bool
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return for every bit pattern of a cell whether it is padding, and its brightness, 0 to 1.

    `whole` has the automatic window run between the ends of the values in use.
    """
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    values = np.arange(1 << 8 * stored.dtype.itemsize, dtype=unsigned).view(stored.dtype)
    values = values.astype(np.int32)
    padding = _padding(header, stored, values)
    modality = modality_values(header, values)
    shares = voi_values(header, modality)
    if shares is None and stored.dtype == np.uint8:
        allowed = modality[values < 1 << (elements.integer(header, "BitsStored") or 8)]
        shares = _between(modality, float(allowed.min()), float(allowed.max()))
    else:
        counts = np.where(padding, 0, _counts(stored.view(unsigned)))
        if shares is None or _is_flat(shares[counts > 0]):
            used = modality[counts > 0]
            all_of_it = whole and used.size > 0
            window = (used.min(), used.max()) if all_of_it else _automatic_window(modality, counts)
            shares = _between(modality, *map(float, window))
    return padding, 1 - shares if is_inverted(header) else shares


def _looked_up(table: NDArray[Grey], stored: NDArray[Any]) -> NDArray[Grey]:
    """Look bit patterns up in a table of greys."""
    patterns: NDArray[Any] = stored.view(f"u{stored.dtype.itemsize}")
    if patterns.dtype.itemsize == 1:
        return np.asarray(cv2.LUT(patterns, table), dtype=table.dtype)
    # Some rows at a time: NumPy makes 8 bytes of each 16 bit pattern for it.
    grey = np.empty(patterns.shape, table.dtype)
    step = max(1, _PIXELS_AT_ONCE // patterns.shape[1])
    for first in range(0, patterns.shape[0], step):
        grey[first : first + step] = table[patterns[first : first + step]]
    return grey


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


def is_inverted(header: Dataset) -> bool:
    """Whether low values are bright.

    Presentation LUT Shape decides where it stands (PS3.3 C.11.6), else Photometric Interpretation
    (C.7.6.3.1.2). A DX image has both, saying the same (C.8.11.3), and is inverted once.
    """
    shape = elements.text(header, "PresentationLUTShape")
    if shape in ("INVERSE", "IDENTITY"):
        return shape == "INVERSE"
    return elements.text(header, "PhotometricInterpretation") == "MONOCHROME1"


def _counts(patterns: NDArray[Any]) -> NDArray[np.float32]:
    """How often each bit pattern stands in the image."""
    cells = 1 << 8 * patterns.dtype.itemsize
    histogram = cv2.calcHist([patterns], [0], None, [cells], [0, cells])
    return np.asarray(histogram, dtype=np.float32).ravel()


def _is_flat(shares: NDArray[np.float64]) -> bool:
    """Whether what a window makes of the pixels is less than one grey apart."""
    return shares.size > 0 and bool((shares.max() - shares.min()) * 255 < 1)


def _automatic_window(
    modality: NDArray[np.float64], counts: NDArray[np.float32]
) -> tuple[float, float]:
    """The modality values at `AUTOMATIC_WINDOW_PERCENTILES` of the pixels counted."""
    order = np.argsort(modality, kind="stable")
    reached = np.cumsum(counts[order], dtype=np.float64)
    ends = np.searchsorted(reached, reached[-1] * np.array(AUTOMATIC_WINDOW_PERCENTILES) / 100)
    low, high = modality[order[np.minimum(ends, len(order) - 1)]]
    return float(low), float(high)


def _between(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Bring values to 0 to 1 between two ends; where these are one, only what is above is 1."""
    if high <= low:
        return np.where(values > high, 1.0, 0.0)
    return np.clip((values - low) / (high - low), 0, 1)
