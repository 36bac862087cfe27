"""Films for the browser: nothing is lost, and what is shown at first is what radiologists see."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import JPEGLosslessSV1

from console.pictures import film
from inference.decode import decode
from inference.pixels import display_image
from inference.reading import RefusedError
from tests.inference.films import make_film, make_picture

MOST = 10_000_000


@dataclass
class Unpacked:
    """What a browser has of a film, unpacked by the rules that `film.pixels` states."""

    told: dict[str, Any]
    values: NDArray[np.float32]
    shown: NDArray[np.uint8]
    hidden: NDArray[np.uint8]
    patterns: NDArray[np.unsignedinteger[Any]]


def unpack(packed: bytes) -> Unpacked:
    body = gzip.decompress(packed)
    assert body[:4] == b"HLMF"
    length = int.from_bytes(body[4:8], "little")
    told = json.loads(body[8 : 8 + length])
    at, entries = 8 + length, told["entries"]
    values = np.frombuffer(body, "<f4", entries, at)
    shown = np.frombuffer(body, np.uint8, entries, at + 4 * entries)
    hidden = np.frombuffer(body, np.uint8, entries, at + 5 * entries)
    rest = np.frombuffer(body, np.uint8, offset=at + 6 * entries)
    count = told["rows"] * told["columns"]
    assert rest.size == count * told["bytes"]
    steps: NDArray[Any] = rest
    if told["bytes"] == 2:
        steps = rest[:count].astype(np.uint16) | rest[count:].astype(np.uint16) << 8
    patterns = np.cumsum(steps, dtype=steps.dtype).reshape(told["rows"], told["columns"])
    return Unpacked(told, values, shown, hidden, patterns)


def opened(unpacked: Unpacked) -> NDArray[np.uint8]:
    """What the viewer shows at first."""
    return np.where(unpacked.hidden, 0, unpacked.shown).astype(np.uint8)[unpacked.patterns]


@pytest.mark.parametrize(
    ("pixels", "elements"),
    [
        (make_picture(bits=8), {}),
        (make_picture(bits=12), {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 1500}),
        (make_picture(bits=16), {"PhotometricInterpretation": "MONOCHROME1"}),
        (make_picture(bits=12).astype(np.int16) - 2000, {"RescaleSlope": 2}),
        (make_picture(bits=12), {"BitsStored": 12, "PixelPaddingValue": 3000}),
        (np.stack([make_picture()] * 3, axis=-1), {}),
    ],
)
@pytest.mark.parametrize("shutter", [False, True])
def test_a_film_comes_whole_and_is_opened_as_radiologists_see_it(
    tmp_path: Path, pixels: NDArray[Any], elements: dict[str, Any], shutter: bool
) -> None:
    edges = {"LeftVertical": 30, "RightVertical": 200, "UpperHorizontal": 9, "LowerHorizontal": 250}
    shutters = {f"Shutter{name}Edge": edge for name, edge in edges.items()}
    shut = {"ShutterShape": "RECTANGULAR", **shutters} if shutter else {}
    path = make_film(tmp_path / "film.dcm", pixels, **elements, **shut)
    unpacked = unpack(film.pixels(path, MOST))
    header, stored = decode(path, max_pixels=MOST)
    np.testing.assert_array_equal(opened(unpacked), display_image(header, stored))
    seen = unpacked.hidden[unpacked.patterns] == 0
    assert seen.any()
    assert seen.all() or shutter or "PixelPaddingValue" in elements
    if stored.ndim == 2:
        slope = elements.get("RescaleSlope", 1)
        values = unpacked.values[unpacked.patterns]
        np.testing.assert_array_equal(values[seen], stored[seen].astype(np.float32) * slope)


@pytest.mark.parametrize("inverted", [False, True])
def test_the_first_window_is_the_film_s_own(tmp_path: Path, inverted: bool) -> None:
    interpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    path = make_film(
        tmp_path / "film.dcm",
        make_picture(bits=12),
        BitsStored=12,
        WindowCenter=2000,
        WindowWidth=1000,
        PhotometricInterpretation=interpretation,
    )
    told = unpack(film.pixels(path, MOST)).told
    # LINEAR (PS3.3 C.11.2.1.2.1): from center - 0.5 - (width - 1) / 2 to the same above.
    assert told["inverted"] is inverted
    assert told["low"] == pytest.approx(1500, abs=0.1)
    assert told["high"] == pytest.approx(2499, abs=0.1)


def test_a_film_of_one_value_has_a_window_all_the_same(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", np.full((40, 30), 700, np.uint16))
    told = unpack(film.pixels(path, MOST)).told
    assert told["low"] < told["high"]


def test_the_preview_is_the_film_made_small_with_square_pixels(tmp_path: Path) -> None:
    pixels = make_picture(rows=2000, columns=1500)
    path = make_film(tmp_path / "film.dcm", pixels, PixelSpacing=[0.1, 0.2])
    image = cv2.imdecode(np.frombuffer(film.preview(path, MOST), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (512, 768)
    small = cv2.resize(pixels, (768, 512), interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - small.astype(int)).max() <= 1


def test_a_compressed_film_comes_without_loss(tmp_path: Path) -> None:
    pixels = make_picture(bits=12)
    path = make_film(tmp_path / "film.dcm", pixels, syntax=JPEGLosslessSV1, BitsStored=12)
    np.testing.assert_array_equal(unpack(film.pixels(path, MOST)).patterns, pixels)


def test_what_cannot_be_decoded_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(b"no film at all" * 100)
    with pytest.raises(RefusedError):
        film.pixels(path, MOST)
    big = make_film(tmp_path / "big.dcm")
    with pytest.raises(RefusedError, match="more than the 1000 allowed"):
        film.preview(big, 1000)
