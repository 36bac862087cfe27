"""Pixels: the standard's grey pipeline against hand-made values, pydicom and DCMTK."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inference.decode import decode
from inference.pixels import (
    FINE_STEPS,
    InputForm,
    display_image,
    fine_display_image,
    greys,
    letterbox,
    network_input,
    pixel_aspect,
    spread_input,
    stretch,
)
from inference.prepare import load_display
from tests.inference.films import make_dataset, make_film, make_picture


def shown(values: NDArray[Any] | list[int], dtype: type = np.uint16, **elements: Any) -> list[int]:
    """The greys of a film of one row."""
    stored = np.atleast_2d(np.asarray(values, dtype=dtype))
    return list(map(int, display_image(make_dataset(stored, **elements), stored)[0]))


def by_pydicom(header: Dataset, stored: NDArray[Any]) -> NDArray[np.float64]:
    """Greys by pydicom's LUT functions, unrounded."""
    windowed = apply_voi_lut(apply_modality_lut(stored, header), header).astype(np.float64)
    low, high = _output_range(header)
    return (windowed - low) / (high - low) * 255


def _output_range(header: Dataset) -> tuple[float, float]:
    """The range that pydicom scales windows to: that of the values possible after rescaling."""
    if "VOILUTSequence" in header:
        return 0, (1 << header.VOILUTSequence[0].LUTDescriptor[2]) - 1
    bits, slope = header.BitsStored, float(header.get("RescaleSlope", 1))
    ends = (
        (-(1 << bits - 1), (1 << bits - 1) - 1)
        if header.PixelRepresentation
        else (0, (1 << bits) - 1)
    )
    low, high = (end * slope + float(header.get("RescaleIntercept", 0)) for end in ends)
    return low, high


def lut_item(first: int, data: list[int], bits: int, *, signed: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(data), first, bits])
    item.add_new("LUTData", "US", data)
    return item


def test_an_8_bit_film_without_a_window_is_not_touched() -> None:
    stored = make_picture()
    assert display_image(make_dataset(stored), stored) is stored


def test_monochrome1_shows_low_values_bright() -> None:
    assert shown([0, 1, 254, 255], np.uint8, PhotometricInterpretation="MONOCHROME1") == [
        255,
        254,
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("interpretation", "shape", "inverted"),
    [
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", False),
    ],
)
def test_presentation_lut_shape_decides_and_inverts_once(
    interpretation: str, shape: str, inverted: bool
) -> None:
    greys = shown(
        [0, 100, 255],
        np.uint8,
        PhotometricInterpretation=interpretation,
        PresentationLUTShape=shape,
    )
    assert greys == ([255, 155, 0] if inverted else [0, 100, 255])


def test_linear_window_follows_its_formula() -> None:
    # PS3.3 C.11.2.1.2.1, its own example: c=2048, w=4096 is the identity of 12 bits.
    assert shown([0, 4095], WindowCenter=2048, WindowWidth=4096) == [0, 255]
    # c=100, w=101: 0 up to 49.5, full above 149.5.
    assert shown([49, 50, 99, 100, 149, 150], WindowCenter=100, WindowWidth=101) == [
        0,
        1,
        126,
        129,
        254,
        255,
    ]


def test_a_window_of_width_1_is_a_threshold() -> None:
    assert shown([98, 99, 100, 101], WindowCenter=100, WindowWidth=1) == [0, 0, 255, 255]


def test_linear_exact_window_follows_its_formula() -> None:
    greys = shown(
        [50, 75, 100, 150], WindowCenter=100, WindowWidth=100, VOILUTFunction="LINEAR_EXACT"
    )
    assert greys == [0, 64, 128, 255]


def test_sigmoid_window_follows_its_formula() -> None:
    greys = shown([0, 75, 100, 200], WindowCenter=100, WindowWidth=100, VOILUTFunction="SIGMOID")
    assert greys == [round(255 / (1 + np.exp(-4 * (x - 100) / 100))) for x in (0, 75, 100, 200)]


def test_the_first_of_several_windows_is_used() -> None:
    several = shown([0, 500, 1000], WindowCenter=[500, 40], WindowWidth=[1000, 80])
    assert several == shown([0, 500, 1000], WindowCenter=500, WindowWidth=1000)


def test_windows_are_in_units_of_the_modality() -> None:
    greys = shown(
        [0, 1000, 2000],
        RescaleSlope=-2,
        RescaleIntercept=4000,
        WindowCenter=2000.5,
        WindowWidth=4001,
    )
    assert greys == [255, 128, 0]


def test_the_voi_lut_goes_before_the_window() -> None:
    voi = lut_item(10, [0, 5000, 65535], 16)
    greys = shown(
        [0, 10, 11, 12, 900], VOILUTSequence=Sequence([voi]), WindowCenter=5, WindowWidth=10
    )
    assert greys == [0, 0, round(5000 / 257), 255, 255]


def test_the_modality_lut_goes_before_rescale() -> None:
    modality = lut_item(100, [7, 50, 90], 16)
    modality.ModalityLUTType = "US"
    greys = shown(
        [99, 100, 101, 102, 103],
        ModalityLUTSequence=Sequence([modality]),
        RescaleSlope=1000,
        WindowCenter=50.5,
        WindowWidth=101,
    )
    assert greys == [18, 18, 128, 230, 230]  # of 7, 7, 50, 90, 90 in 0 to 100


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("representation", [0, 1])
def test_luts_read_from_a_file_are_applied_as_pydicom_does(
    tmp_path: Path, syntax: UID, representation: int
) -> None:
    """In implicit VR the type of LUT elements follows from the pixels (PS3.3 C.11.1.1)."""
    first = -300 if representation else 200
    picture = make_picture(96, 80, bits=10).astype(np.int16 if representation else np.uint16)
    picture -= 512 if representation else 0
    curve = [int(65535 * (step / 400) ** 2) for step in range(401)]
    path = make_film(
        tmp_path / "film.dcm",
        picture,
        syntax=syntax,
        BitsStored=10,
        VOILUTSequence=Sequence([lut_item(first, curve, 16, signed=bool(representation))]),
    )
    _, display = load_display(path, 1_000_000)
    whole = pydicom.dcmread(path)
    expected = apply_voi_lut(whole.pixel_array, whole) / 257
    assert np.abs(display - expected).max() <= 0.51
    assert display.min() == 0
    assert display.max() == 255


@pytest.mark.parametrize(("signed", "written"), [(True, 65336), (False, -25536)])
def test_a_lut_whose_first_value_has_the_wrong_sign_is_read(signed: bool, written: int) -> None:
    first = -200 if signed else 40_000  # of 16 bits, as the pixels are
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if written < 0 else "US", [3, written, 16])
    item["LUTDescriptor"].value = [3, written, 16]
    item.add_new("LUTData", "US", [0, 6400, 65535])
    stored = np.array([[first, first + 1, first + 2]], np.int16 if signed else np.uint16)
    header = make_dataset(stored, VOILUTSequence=Sequence([item]))
    assert display_image(header, stored).tolist() == [[0, 25, 255]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_lut_data_in_words_of_either_order_is_read(order: str) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [3, 0, 16])
    item.add_new("LUTData", "OW", np.array([0, 6400, 65535], f"{order}u2").tobytes())
    stored = np.array([[0, 1, 2]], np.uint16)
    header = make_dataset(stored, VOILUTSequence=Sequence([item]))
    header.set_original_encoding(False, order == "<")
    assert display_image(header, stored).tolist() == [[0, 25, 255]]


def test_a_lut_that_is_cut_off_gives_way_to_the_window() -> None:
    """All values beyond its end would be of one grey."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    item.add_new("LUTData", "OW", np.arange(1000, dtype="<u2").tobytes())
    stored = np.array([[0, 1000], [2000, 4095]], np.uint16)
    header = make_dataset(stored, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    header.VOILUTSequence = Sequence([item])
    header.ModalityLUTSequence = Sequence([item])
    header.set_original_encoding(False, True)
    assert display_image(header, stored).tolist() == [[0, 62], [125, 255]]


def test_lut_data_in_bytes_is_read() -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 8])
    item.add_new("LUTData", "OW", bytes([0, 10, 100, 255]))
    header = make_dataset(np.zeros((2, 2), np.uint8), VOILUTSequence=Sequence([item]))
    header.set_original_encoding(False, True)
    stored = np.array([[0, 1], [2, 200]], np.uint8)
    assert display_image(header, stored).tolist() == [[0, 10], [100, 255]]


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": 400, "WindowWidth": 700},
        {"WindowCenter": 400, "WindowWidth": 700, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 400, "WindowWidth": 300, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 900, "WindowWidth": 700, "RescaleSlope": 2.5, "RescaleIntercept": -100},
    ],
)
def test_windows_agree_with_pydicom(elements: dict[str, Any]) -> None:
    stored = make_picture(bits=10)
    header = make_dataset(stored, BitsStored=10, **elements)
    display = display_image(header, stored)
    assert np.abs(display - by_pydicom(header, stored)).max() <= 0.51


def test_padding_is_black_whatever_the_polarity() -> None:
    for interpretation in ("MONOCHROME1", "MONOCHROME2"):
        greys = shown(
            [0, 77, 255], np.uint8, PhotometricInterpretation=interpretation, PixelPaddingValue=77
        )
        assert greys[1] == 0
        assert greys[0] != greys[2]


def test_a_padding_range_is_black_in_either_order() -> None:
    stored = [5, 10, 15, 20, 25]
    for ends in ((10, 20), (20, 10)):
        greys = shown(stored, np.uint8, PixelPaddingValue=ends[0], PixelPaddingRangeLimit=ends[1])
        assert greys == [5, 0, 0, 0, 25]


def test_padding_written_with_the_wrong_sign_is_found() -> None:
    stored = np.array([[-2000, 0, 100, 300]], np.int16)
    header = make_dataset(
        stored, WindowCenter=100, WindowWidth=500, PhotometricInterpretation="MONOCHROME1"
    )
    header.add_new("PixelPaddingValue", "US", 63536)  # -2000 of 16 bits
    assert display_image(header, stored)[0, 0] == 0
    assert display_image(header, stored)[0, 1] > 100


def test_padding_is_kept_out_of_the_automatic_window() -> None:
    film = make_picture(bits=12)
    padded = np.hstack([film, np.full_like(film, 65535)])
    plain = display_image(make_dataset(film), film)
    display = display_image(make_dataset(padded, PixelPaddingValue=65535), padded)
    assert np.array_equal(display[:, : film.shape[1]], plain)
    assert not display[:, film.shape[1] :].any()


def test_a_deep_film_without_a_window_gets_a_robust_one() -> None:
    film = make_picture(200, 200, bits=11).astype(np.uint16)
    film[0, :10] = 65535  # a marker: 1 in 4,000 pixels
    display = display_image(make_dataset(film), film)
    low, high = np.percentile(film, (0.5, 99.5))
    expected = np.clip((film.astype(float) - low) / (high - low), 0, 1) * 255
    assert np.abs(display - expected).max() <= 1.5
    assert np.percentile(display, 50) > 60


@pytest.mark.parametrize("window", [(100, 0), (100, -5), (None, 200), (5000, 300), (-900, 10)])
def test_a_window_that_shows_nothing_is_replaced(window: tuple[float | None, float]) -> None:
    """Without width or centre, or wholly outside the film's values."""
    film = make_picture(bits=10)
    header = make_dataset(film, WindowWidth=window[1])
    if window[0] is not None:
        header.WindowCenter = window[0]
    assert np.array_equal(display_image(header, film), display_image(make_dataset(film), film))


def test_an_8_bit_film_of_7_bits_uses_the_whole_range() -> None:
    assert shown([0, 64, 127], np.uint8, BitsStored=7) == [0, 129, 255]


def test_signed_films_keep_their_order() -> None:
    values = [-1024, -1, 0, 1, 1000]
    greys = shown(values, np.int16, WindowCenter=0, WindowWidth=2048)
    assert greys == sorted(greys)
    assert greys[0] == 0
    assert greys[2] == 128


def test_a_monochrome1_film_and_its_inverted_twin_look_the_same() -> None:
    film = make_picture(bits=12)
    for elements in ({}, {"WindowCenter": 1500, "WindowWidth": 2000}):
        inverted = (4095 - film).astype(np.uint16)
        twin_elements = dict(elements)
        if elements:  # the window of values x, seen by 4095 - x
            twin_elements["WindowCenter"] = 4095 - 1500 + 1
        one = display_image(
            make_dataset(
                inverted, BitsStored=12, PhotometricInterpretation="MONOCHROME1", **elements
            ),
            inverted,
        )
        other = display_image(make_dataset(film, BitsStored=12, **twin_elements), film)
        assert np.abs(one.astype(int) - other).max() <= 1


def test_colour_becomes_luminance() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]], np.uint8)
    display = display_image(make_dataset(colours), colours)
    assert display.tolist() == [[76, 150, 29, 90]]  # ITU-R BT.601


@pytest.mark.parametrize("bits", [8, 16])
def test_palette_colour_is_looked_up(tmp_path: Path, bits: int) -> None:
    indices = np.array([[0, 1, 2, 3]] * 2, np.uint8)
    tables = {"Red": [0, 255, 0, 40], "Green": [0, 0, 255, 40], "Blue": [0, 0, 0, 40]}
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, table in tables.items():
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, bits]
        data = np.array(table, np.uint16) * (257 if bits == 16 else 1)
        elements[f"{colour}PaletteColorLookupTableData"] = data.astype(f"<u{bits // 8}").tobytes()
    path = make_film(tmp_path / "film.dcm", indices, **elements)
    _, display = load_display(path, 1000)
    assert display[0].tolist() == [0, 76, 150, 40]


def test_a_rectangular_shutter_hides_what_is_outside() -> None:
    film = np.full((20, 30), 200, np.uint8)
    film[0, 0] = 100
    header = make_dataset(
        film,
        ShutterShape="RECTANGULAR",
        ShutterLeftVerticalEdge=5,
        ShutterRightVerticalEdge=25,
        ShutterUpperHorizontalEdge=3,
        ShutterLowerHorizontalEdge=18,
    )
    expected = np.zeros_like(film)
    expected[2:18, 4:25] = 200
    assert np.array_equal(display_image(header, film), expected)


def test_circular_and_polygonal_shutters_hide_what_is_outside() -> None:
    film = np.full((101, 101), 200, np.uint8)
    film[50, 50] = 100
    circle = make_dataset(
        film,
        ShutterShape="CIRCULAR",
        CenterOfCircularShutter=[51, 51],
        RadiusOfCircularShutter=40,
    )
    shown_circle = display_image(circle, film)
    assert shown_circle[0, 0] == shown_circle[50, 5] == 0
    assert shown_circle[50, 12] == 200
    assert abs((shown_circle > 0).sum() - np.pi * 40**2) < 200
    triangle = make_dataset(
        film, ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=[1, 1, 1, 101, 51, 1]
    )
    shown_triangle = display_image(triangle, film)
    assert shown_triangle[2, 90] == 200  # row 3, column 91
    assert shown_triangle[90, 2] == 0


@pytest.mark.parametrize(
    "edges", [(1, 2, 1, 2), (200, 300, 1, 20), (None, 25, 3, 18)], ids=["tiny", "outside", "broken"]
)
def test_a_shutter_that_makes_no_sense_is_ignored(edges: tuple[int | None, ...]) -> None:
    film = make_picture(20, 30)
    header = make_dataset(film, ShutterShape="RECTANGULAR")
    names = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
    for name, edge in zip(names, edges, strict=True):
        if edge is not None:
            setattr(header, f"Shutter{name}Edge", edge)
    assert np.array_equal(display_image(header, film), film)


def dcmtk_rendering(path: Path, tmp_path: Path, *options: str) -> NDArray[np.uint8]:
    """DCMTK's picture of a film; JPEG 2000, which it cannot read, is decoded for it first."""
    if shutil.which("dcmj2pnm") is None:
        pytest.skip("DCMTK's dcmj2pnm is not installed")
    dataset = pydicom.dcmread(path, force=True)
    plain = tmp_path / "plain.dcm"
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    if "2000" in dataset.file_meta.TransferSyntaxUID.name:
        dataset.decompress()
    dataset.save_as(plain, enforce_file_format=True, overwrite=True)
    picture = tmp_path / "picture.pgm"
    subprocess.run(
        ["dcmj2pnm", *options, "--write-8-bit-pnm", str(plain), str(picture)],
        check=True,
        capture_output=True,
    )
    return np.asarray(cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_windowed_films_look_as_dcmtk_shows_them(tmp_path: Path, interpretation: str) -> None:
    path = make_film(
        tmp_path / "film.dcm",
        make_picture(bits=12),
        BitsStored=12,
        PhotometricInterpretation=interpretation,
        RescaleSlope=0.5,
        RescaleIntercept=10,
        WindowCenter=900,
        WindowWidth=1500,
    )
    _, display = load_display(path, 1_000_000)
    difference = np.abs(display.astype(int) - dcmtk_rendering(path, tmp_path, "+Wi", "1"))
    assert difference.max() <= 1


def test_voi_luts_look_as_dcmtk_shows_them(tmp_path: Path) -> None:
    curve = [int(65535 * (step / 4095) ** 0.5) for step in range(4096)]
    path = make_film(
        tmp_path / "film.dcm",
        make_picture(bits=12),
        BitsStored=12,
        VOILUTSequence=Sequence([lut_item(0, curve, 16)]),
    )
    _, display = load_display(path, 1_000_000)
    difference = np.abs(display.astype(int) - dcmtk_rendering(path, tmp_path, "+Wl", "1"))
    assert difference.max() <= 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fod__CR-MONO1-10-chest.dcm", ("+Wi", "1")),
        ("pydd__RG1_J2KI.dcm", ("+Wi", "1")),
        ("orth__Monochrome1-Jpeg.dcm", ("+Wi", "1")),
        ("txv__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm", ("-W",)),
        ("hd__dx_image.dcm", ("+Wi", "1")),
        ("pydd__RG3_J2KI.dcm", ("+Wi", "1")),
    ],
)
def test_real_films_look_as_dcmtk_shows_them(
    real_data: Path, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    path = real_data / "dicom_cxr" / name
    _, display = load_display(path, 100_000_000)
    difference = np.abs(display.astype(int) - dcmtk_rendering(path, tmp_path, *options))
    assert difference.max() <= 1


def test_a_real_film_relabelled_monochrome1_is_inverted(real_data: Path) -> None:
    folder = real_data / "dicom_cxr"
    _, film = load_display(
        folder / "txv__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm", 2_000_000
    )
    _, fake = load_display(folder / "txv__Fake_MONOHR1.dcm", 2_000_000)
    assert np.array_equal(fake, 255 - film)


def test_letterbox_of_a_square_film_is_its_mean() -> None:
    film = make_picture(1024, 1024)
    fitted, box = letterbox(film, 512)
    blocks = film.reshape(512, 2, 512, 2).mean(axis=(1, 3))
    assert np.abs(fitted - blocks).max() <= 0.76
    assert (box.scale_x, box.scale_y, box.offset_x, box.offset_y) == (0.5, 0.5, 0.0, 0.0)


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (2446, 2010), (129, 400), (64, 64)])
@pytest.mark.parametrize("aspect", [1.0, 0.5, 1.3])
def test_letterbox_keeps_the_shape_and_centres_it(shape: tuple[int, int], aspect: float) -> None:
    rows, columns = shape
    film = np.full(shape, 200, np.uint8)
    fitted, box = letterbox(film, 257, pixel_aspect=aspect)
    assert fitted.shape == (257, 257)
    inside = fitted > 0
    height, width = inside.any(axis=1).sum(), inside.any(axis=0).sum()
    assert max(height, width) == 257
    assert height / width == pytest.approx(rows * aspect / columns, rel=0.02)
    left, top, right, bottom = box.to_input(0, 0, columns, rows)
    assert (left, top) == (np.argmax(inside.any(axis=0)), np.argmax(inside.any(axis=1)))
    assert (right - left, bottom - top) == pytest.approx((width, height))
    assert abs(left - (257 - right)) <= 1
    assert abs(top - (257 - bottom)) <= 1


def test_letterbox_leads_back_to_the_film() -> None:
    film = np.zeros((2446, 2010), np.uint8)
    film[600:900, 1200:1500] = 255
    fitted, box = letterbox(film, 512)
    bright = fitted > 127
    x0, x1 = np.flatnonzero(bright.any(axis=0))[[0, -1]]
    y0, y1 = np.flatnonzero(bright.any(axis=1))[[0, -1]]
    corners = box.to_image(x0, y0, x1 + 1, y1 + 1)
    assert corners == pytest.approx((1200, 600, 1500, 900), abs=5)
    assert box.to_input(*corners) == pytest.approx((x0, y0, x1 + 1, y1 + 1))


def test_the_network_sees_the_same_whatever_linear_window_a_film_came_with() -> None:
    film = make_picture(400, 300)
    spread = InputForm(128, "percentiles")
    narrow, box = network_input(film, spread)
    pale, _ = network_input((film.astype(np.float64) * 0.4 + 90).astype(np.uint8), spread)
    assert np.abs(narrow.astype(int) - pale).max() <= 4
    inside = narrow[:, round(box.offset_x) : 128 - round(box.offset_x)]
    assert (inside.min(), inside.max()) == (0, 255)
    assert not narrow[:, : round(box.offset_x)].any()
    plain, same = network_input(film, InputForm(128))
    assert same == box
    assert np.array_equal(plain, letterbox(film, 128)[0])


def test_a_wide_window_costs_a_network_no_greys() -> None:
    deep = make_picture(bits=12)
    wide = make_dataset(deep, BitsStored=12, WindowCenter=2048, WindowWidth=12288)
    narrow = make_dataset(deep, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    few, many = (
        len(np.unique(image)) for image in (display_image(wide, deep), display_image(narrow, deep))
    )
    assert few < many / 2
    fine = fine_display_image(wide, deep)
    assert len(np.unique(fine)) == len(np.unique(deep))
    seen = spread_input(fine, 128)[0].astype(int)
    assert np.abs(seen - spread_input(fine_display_image(narrow, deep), 128)[0]).max() <= 1


def test_a_fine_image_rounds_to_the_display_image() -> None:
    deep = make_picture(bits=12)
    for more in ({}, {"PhotometricInterpretation": "MONOCHROME1"}):
        header = make_dataset(deep, BitsStored=12, WindowCenter=2048, WindowWidth=3000, **more)
        fine = fine_display_image(header, deep).astype(float)
        assert np.abs(fine / FINE_STEPS - display_image(header, deep)).max() <= 0.51


def test_a_film_of_one_grey_can_be_stretched() -> None:
    assert set(np.unique(stretch(np.full((8, 8), 77, np.uint8)))) <= {0, 255}


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({}, 1.0),
        ({"PixelSpacing": [0.2, 0.1]}, 2.0),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, 0.5),
        ({"PixelAspectRatio": [3, 2]}, 1.5),
        ({"PixelSpacing": [0, 0], "PixelAspectRatio": [3, 2]}, 1.5),
        ({"PixelSpacing": [0.001, 10]}, 1.0),
        ({"PixelAspectRatio": [1]}, 1.0),
    ],
)
def test_the_pixels_shape_is_taken_from_spacing_or_ratio(
    elements: dict[str, Any], aspect: float
) -> None:
    assert pixel_aspect(make_dataset(**elements)) == aspect


def test_what_is_decoded_is_what_is_shown(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm")
    header, display = load_display(path, 1_000_000)
    assert header.SOPInstanceUID == pydicom.dcmread(path).SOPInstanceUID
    assert np.array_equal(display, decode(path, max_pixels=1_000_000)[1])


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 1000, "WindowWidth": 900},
        {"WindowCenter": 1000, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
        {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 0},
        {"RescaleSlope": 0.5, "RescaleIntercept": -100, "WindowCenter": 400, "WindowWidth": 500},
        {
            "ShutterShape": "RECTANGULAR",
            "ShutterLeftVerticalEdge": 20,
            "ShutterRightVerticalEdge": 200,
            "ShutterUpperHorizontalEdge": 20,
            "ShutterLowerHorizontalEdge": 200,
        },
    ],
)
@pytest.mark.parametrize("kind", ["unsigned", "signed", "8 bit", "colour"])
def test_values_and_tables_give_the_display_image(elements: dict[str, Any], kind: str) -> None:
    picture = make_picture(bits=8 if kind in ("8 bit", "colour") else 12)
    stored = {
        "unsigned": picture,
        "signed": picture.astype(np.int16) - 2048,
        "8 bit": picture,
        "colour": np.stack([picture, picture // 2, picture // 3], axis=-1),
    }[kind]
    if kind == "colour":
        elements = {k: v for k, v in elements.items() if k != "PhotometricInterpretation"}
    header = make_dataset(stored, **elements)
    taken = greys(header, stored)
    table = np.rint(taken.shown * 255).astype(np.uint8)
    table[taken.hidden] = 0
    drawn = table[taken.patterns]
    if taken.masked is not None:
        drawn[taken.masked] = 0
    assert ("ShutterShape" in elements) == (taken.masked is not None)
    np.testing.assert_array_equal(drawn, display_image(header, stored))


def test_values_are_told_in_the_modality_s_unit() -> None:
    stored = np.array([[-10, 0, 300]], np.int16)
    header = make_dataset(stored, RescaleSlope=2, RescaleIntercept=-5)
    taken = greys(header, stored)
    assert taken.values[taken.patterns].tolist() == [[-25, -5, 595]]
