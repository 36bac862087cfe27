"""How a grayscale film is shown, said once more as a presentation state must say it.

A presentation state replaces what the film says of itself (PS3.4 N.2.1). So that a film looks the
same with it and without, it repeats the film's own Modality LUT, VOI LUT, polarity and shutter, as
`inference.pixels` understands them. What the film leaves out stays out.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference import elements
from inference.pixels import is_inverted
from inference.report import explicit
from inference.report.values import is_valid
from inference.voi import Lut, modality_values, read_lut

_SHUTTERS = {
    "RECTANGULAR": (
        "ShutterLeftVerticalEdge",
        "ShutterRightVerticalEdge",
        "ShutterUpperHorizontalEdge",
        "ShutterLowerHorizontalEdge",
    ),
    "CIRCULAR": ("CenterOfCircularShutter", "RadiusOfCircularShutter"),
    "POLYGONAL": ("VerticesOfThePolygonalShutter",),
}


def is_grayscale(header: Dataset) -> bool:
    """Tell whether a Grayscale Softcopy Presentation State may speak of a film (PS3.4 N.2)."""
    return elements.text(header, "PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")


def grayscale(header: Dataset) -> explicit.Added:
    """Return the grayscale transformations of a film, and its shutter.

    Modality LUT (PS3.3 C.11.1), Softcopy VOI LUT (C.11.8), Softcopy Presentation LUT (C.11.6) and
    Presentation State Shutter (C.11.12). The first usable LUT and the first window are repeated.
    """
    shape = "INVERSE" if is_inverted(header) else "IDENTITY"
    return {
        **_modality(header),
        **_voi(header),
        **_shutter(header),
        **explicit.attributes(PresentationLUTShape=shape),
    }


def _modality(header: Dataset) -> explicit.Added:
    """Return slope and intercept, else the LUT; a film must not have both (PS3.3 C.11.1)."""
    slope, intercept = _decimal(header, "RescaleSlope"), _decimal(header, "RescaleIntercept")
    if slope is not None or intercept is not None:
        return explicit.attributes(
            RescaleIntercept=intercept or "0",
            RescaleSlope=slope if slope and float(slope) else "1",
            RescaleType=_type(header, "RescaleType"),
        )
    signed = elements.integer(header, "PixelRepresentation") == 1
    for found in elements.items(header, "ModalityLUTSequence"):
        lut = read_lut(found, header, signed=signed)
        if lut is not None:
            kind = explicit.attributes(ModalityLUTType=_type(found, "ModalityLUTType"))
            return explicit.sequences(
                ModalityLUTSequence=[explicit.item(kind | _encoded(lut, lut.data))]
            )
    return {}


def _voi(header: Dataset) -> explicit.Added:
    """Return the VOI LUT, else the window; both together would leave open which holds."""
    item = _voi_lut(header) or _window(header)
    return explicit.sequences(SoftcopyVOILUTSequence=[explicit.item(item)]) if item else {}


def _voi_lut(header: Dataset) -> explicit.Added:
    negative = bool(modality_values(header, _extremes(header)).min() < 0)
    for item in elements.items(header, "VOILUTSequence"):
        lut = read_lut(item, header, signed=negative)
        if lut is not None:
            # Only the share of the brightest counts, so that fewer bits become 16.
            full = 255 if lut.top == 255 else 65535
            data = np.rint(lut.data * (full / lut.top)).astype(np.uint16)
            return explicit.sequences(VOILUTSequence=[explicit.item(_encoded(lut, data))])
    return {}


def _window(header: Dataset) -> explicit.Added:
    center, width = _decimal(header, "WindowCenter"), _decimal(header, "WindowWidth")
    function = elements.text(header, "VOILUTFunction")
    exact = function in ("LINEAR_EXACT", "SIGMOID")
    if center is None or width is None or not float(width) >= (1e-9 if exact else 1):
        return {}
    window = explicit.attributes(WindowCenter=center, WindowWidth=width)
    return window | explicit.attributes(VOILUTFunction=function) if exact else window


def _shutter(header: Dataset) -> explicit.Added:
    """Return the film's shutter, none where it is not whole; what it hides stays as dark."""
    shapes = elements.texts(header, "ShutterShape")
    if not shapes or not set(shapes) <= set(_SHUTTERS):
        return {}
    values = {
        keyword: elements.texts(header, keyword) for shape in shapes for keyword in _SHUTTERS[shape]
    }
    if not all(each and _are_whole_numbers(each) for each in values.values()):
        return {}
    dark = elements.integer(header, "ShutterPresentationValue") or 0
    return explicit.attributes(ShutterShape=shapes, **values) | explicit.attributes(
        ShutterPresentationValue=min(max(dark, 0), 0xFFFF)
    )


def _are_whole_numbers(texts: list[str]) -> bool:
    return all(is_valid("IS", False, text.encode(), ()) for text in texts)


def _extremes(header: Dataset) -> NDArray[np.int64]:
    """Return the least and the greatest value that a film of this header can store."""
    bits = elements.integer(header, "BitsAllocated") or 16
    if elements.integer(header, "PixelRepresentation") == 1:
        return np.array([-(1 << bits - 1), (1 << bits - 1) - 1])
    return np.array([0, (1 << bits) - 1])


def _encoded(lut: Lut, data: NDArray[np.uint16]) -> explicit.Added:
    """Return a LUT with the entries `data`, as words.

    The entries of a presentation state's LUTs have 8 or 16 bits (PS3.3 C.11.1.1, C.11.2.1.1).
    """
    bits = 8 if lut.bits == 8 and data.max() < 256 else 16
    descriptor = struct.pack("<HhH", len(data) % 65536, _signed(lut.first), bits)
    return {
        0x00283002: ("SS" if lut.first < 0 else "US", descriptor),
        0x00283006: ("OW", data.astype("<u2").tobytes()),
    }


def _signed(value: int) -> int:
    """Return the signed 16 bit number that has the bits of `value`."""
    return value - 65536 if value > 32767 else value


def _decimal(header: Dataset, keyword: str) -> str | None:
    """Return the first value of a decimal string, None where there is no valid one."""
    texts = elements.texts(header, keyword)
    return texts[0] if texts and texts[0] and is_valid("DS", False, texts[0].encode(), ()) else None


def _type(source: Dataset, keyword: str) -> str:
    """Return the units of a Modality LUT's output; "US" is unspecified (PS3.3 C.11.1.1.2)."""
    text = elements.text(source, keyword)
    return text if text in ("OD", "HU", "US", "PCT") else "US"
