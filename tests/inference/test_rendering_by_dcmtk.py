"""Films look as DCMTK shows them, to within a grey: it cuts fractions off, and we round them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSLossless,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RLELossless,
)

from bench.rendering import TOOLS, compare
from tests.inference.films import make_film, make_picture
from tests.peers import require


def lut(first: int, values: NDArray[np.uint16], bits: int) -> Sequence:
    """A sequence of one LUT (PS3.3 C.11.1.1, C.11.2.1.1)."""
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item.add_new("LUTData", "OW", values.tobytes())
    item.ModalityLUTType = "US"
    return Sequence([item])


CURVE = np.rint(4095 * np.linspace(0, 1, 4096) ** 0.6).astype(np.uint16)
DEEP: dict[str, Any] = {"pixels": make_picture(bits=12), "BitsStored": 12}
WINDOW: dict[str, Any] = {"WindowCenter": 1800, "WindowWidth": 2500}
SIGNED = (make_picture(bits=12).astype(np.int32) - 2048).astype(np.int16)

FORMS: dict[str, dict[str, Any]] = {
    "8 bit, as it is": {},
    "8 bit, MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1"},
    "8 bit, a window (C.11.2.1.2)": {"WindowCenter": 120, "WindowWidth": 90},
    "7 bit (C.7.6.3)": {"pixels": make_picture(bits=7), "BitsStored": 7},
    "12 bit, no window": DEEP,
    "12 bit, LINEAR (C.11.2.1.2.1)": {**DEEP, **WINDOW, "VOILUTFunction": "LINEAR"},
    "12 bit, SIGMOID (C.11.2.1.3.1)": {**DEEP, **WINDOW, "VOILUTFunction": "SIGMOID"},
    "12 bit, two windows, the first": {**DEEP, "WindowCenter": [1800, 1], "WindowWidth": [2500, 2]},
    "12 bit, MONOCHROME1, window": {**DEEP, **WINDOW, "PhotometricInterpretation": "MONOCHROME1"},
    "rescaled (C.11.1.1)": {
        **DEEP,
        "RescaleSlope": 2,
        "RescaleIntercept": -500,
        "WindowCenter": 3000,
        "WindowWidth": 5000,
    },
    "rescaled downwards": {
        **DEEP,
        "RescaleSlope": -1,
        "RescaleIntercept": 4095,
        "WindowCenter": 2200,
        "WindowWidth": 3000,
    },
    "Modality LUT (C.11.1)": {**DEEP, **WINDOW, "ModalityLUTSequence": lut(0, CURVE, 12)},
    "VOI LUT (C.11.2)": {**DEEP, "VOILUTSequence": lut(0, CURVE, 12)},
    "VOI LUT that starts late": {**DEEP, "VOILUTSequence": lut(1000, CURVE[:2000], 12)},
    "16 bit": {"pixels": make_picture(bits=16), "WindowCenter": 30000, "WindowWidth": 40000},
    "10 bit": {
        "pixels": make_picture(bits=10),
        "BitsStored": 10,
        "WindowCenter": 500,
        "WindowWidth": 800,
    },
    "signed 16 bit": {"pixels": SIGNED, "WindowCenter": -100, "WindowWidth": 2500},
    "signed 12 bit, LINEAR": {
        "pixels": SIGNED,
        "BitsStored": 12,
        "WindowCenter": -100,
        "WindowWidth": 2500,
    },
    "12 bit in the upper bits (PS3.5 8.1.1)": {
        "pixels": make_picture(bits=12) << 4,
        "BitsStored": 12,
        "HighBit": 15,
        **WINDOW,
    },
    "11 bit in the middle, with other bits around": {
        "pixels": (make_picture(bits=11) << 3) | 0x8005,
        "BitsStored": 11,
        "HighBit": 13,
        "WindowCenter": 900,
        "WindowWidth": 1500,
    },
    "one frame of a multi-frame capture (A.8.4)": {
        **DEEP,
        **WINDOW,
        "SOPClassUID": MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        "NumberOfFrames": 1,
    },
    "DX with its Presentation LUT Shape (C.8.11.3)": {
        **DEEP,
        **WINDOW,
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "PhotometricInterpretation": "MONOCHROME1",
        "PresentationLUTShape": "INVERSE",
    },
    "pixels that are not square (C.7.6.3.1.7)": {"PixelAspectRatio": [2, 1]},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_film_looks_as_dcmtk_shows_it(tmp_path: Path, form: str) -> None:
    require(*TOOLS)
    elements = dict(FORMS[form])
    path = make_film(tmp_path / "film.dcm", elements.pop("pixels", None), **elements)
    compared = compare(path, tmp_path)
    assert compared is not None
    assert compared.largest is not None, compared.how
    assert compared.largest <= 1


@pytest.mark.parametrize(
    ("syntax", "largest"),
    [
        (ExplicitVRLittleEndian, 1),
        (ExplicitVRBigEndian, 1),
        (RLELossless, 1),
        (JPEGLossless, 1),
        (JPEGLSLossless, 1),
        (JPEGExtended12Bit, 2),  # two inverse cosine transforms
    ],
)
def test_a_deep_film_looks_as_dcmtk_shows_it_in_every_syntax(
    tmp_path: Path, syntax: UID, largest: int
) -> None:
    require(*TOOLS)
    path = make_film(
        tmp_path / "film.dcm", make_picture(bits=12), syntax=syntax, BitsStored=12, **WINDOW
    )
    compared = compare(path, tmp_path)
    assert compared is not None
    assert compared.largest is not None, compared.how
    assert compared.largest <= largest


def test_an_overlay_is_not_drawn(tmp_path: Path) -> None:
    """DCMTK is told to leave it out (-O), and shows the same."""
    require(*TOOLS)
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    plain = compare(path, tmp_path)
    overlay = {0x60000010: 256, 0x60000011: 240, 0x60000050: [1, 1], 0x60000100: 1, 0x60000102: 0}
    path = _with_overlay(path, overlay)
    assert plain is not None
    assert compare(path, tmp_path) == plain


def _with_overlay(path: Path, elements: dict[int, Any]) -> Path:
    film = pydicom.dcmread(path)
    for tag, value in elements.items():
        film.add_new(tag, "SS" if tag == 0x60000050 else "US", value)
    film.add_new(0x60000040, "CS", "G")
    film.add_new(0x60003000, "OW", b"\xff" * (256 * 240 // 8))
    film.save_as(path, overwrite=True)
    return path


def test_every_real_file_looks_as_dcmtk_shows_it(tmp_path: Path, real_data: Path) -> None:
    """On average; the one that does not is a JPEG whose colours DCMTK takes for RGB."""
    require(*TOOLS)
    folders = ("dicom_cxr", "dicom_syntax", "dicom_hostile")
    paths = [path for name in folders for path in sorted((real_data / name).glob("*.dcm"))]
    found = [each for path in paths if (each := compare(path, tmp_path)) is not None]
    assert len(found) > 60
    assert [each.file for each in found if each.mean is None or each.mean > 1] == [
        "dicom_syntax/fod__GH195.dcm"
    ]
