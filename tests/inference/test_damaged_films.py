"""Films that are damaged or lie about themselves: read only where nothing is lost or guessed."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from inference.decode import decode
from inference.parse import HEADER_MAX_ITEMS
from inference.prepare import load_display
from inference.reading import RefusalCode, RefusedError
from tests.inference.films import make_dataset, make_film, make_picture, write_encapsulated

MAX_PIXELS = 4_000_000
UNDEFINED = 0xFFFFFFFF
TILED = (
    "|4;u>04V?f0000W0000W00000000000000G0000G0000000000009R90sm3}3;+NC0RR951ONg5TmS?>K>uU_B"
    ">(|Ka%Ew3Wn>^?c_2@4Wo}APMMofZWpZ<AZ*CwmE;TMN|BwI*0000005kvr|C8SmFcLRq+RKOX{`nd<>Ds?2>M"
    "x+^dy{iWVHb5(N2C6d0W?Z<|BwI*0096105kvr|C7&#jI7&lFARLRc4XHs+_x{w8I5?{_Q`ZN*mD)&w>c7SKHs"
    "MF|BwI*00IC204V?g|C7%$5l|7@tiGwLJyE@(Y^4}2MHMI~5+S2_Y5$M_3IGED001Wd0soWFE=^frkrWtTw3`|"
    "%F9HZ>wg_PRqe&Hg|Je"
)
"""A film of 32 x 32 pixels in four tiles, in JPEG 2000, encoded by OpenJPEG."""
DELIMITER = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def refused(path: Path, words: str, *, code: RefusalCode = RefusalCode.UNDECODABLE) -> None:
    """Decoding refuses with this code, and a sentence that holds these words."""
    with pytest.raises(RefusedError, match=words) as caught:
        load_display(path, MAX_PIXELS)
    assert caught.value.refusal.code is code
    assert caught.value.refusal.reason.endswith(".")


def frame_of(path: Path) -> bytes:
    return get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)


def item(data: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data


def with_pixel_sequence(path: Path, sequence: bytes) -> None:
    """Replace all that follows the pixel data element's own length."""
    whole = path.read_bytes()
    start = whole.index(struct.pack("<HH2sxxI", 0x7FE0, 0x0010, b"OB", UNDEFINED)) + 12
    path.write_bytes(whole[:start] + sequence)


@pytest.mark.parametrize(
    "table",
    [b"", struct.pack("<I", 999_999), struct.pack("<2I", 0, 500), b"\xff" * 4000, b"\0\0\0\0\0\0"],
    ids=["empty", "beyond the end", "an entry a fragment", "garbage", "odd"],
)
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, RLELossless])
def test_a_wrong_offset_table_costs_nothing(tmp_path: Path, table: bytes, syntax: UID) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=syntax)
    _, expected = decode(path, max_pixels=MAX_PIXELS)
    frame = frame_of(path)
    fragments = item(frame[:500]) + item(b"") + item(frame[500:])
    with_pixel_sequence(path, item(table) + fragments + DELIMITER)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, expected)


def test_a_missing_offset_table_costs_nothing(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    _, expected = decode(path, max_pixels=MAX_PIXELS)
    with_pixel_sequence(path, item(frame_of(path)) + DELIMITER)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, expected)


def test_two_frames_under_a_header_of_one_are_refused(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    frame = frame_of(path)
    with_pixel_sequence(path, item(b"") + item(frame) + item(frame) + DELIMITER)
    refused(path, "more than the one frame", code=RefusalCode.FRAMES)
    dataset = make_dataset()
    dataset.PixelData *= 2
    dataset.save_as(path, enforce_file_format=True, overwrite=True)
    refused(path, "more than the one frame", code=RefusalCode.FRAMES)


@pytest.mark.parametrize("frames", ["-1", "-2147483648"])
def test_a_negative_number_of_frames_is_not_called_many(tmp_path: Path, frames: str) -> None:
    path = make_film(tmp_path / "film.dcm", NumberOfFrames=frames)
    refused(path, "negative")


@pytest.mark.parametrize(
    ("syntax", "bits"),
    [(JPEGLSLossless, 8), (JPEGLSNearLossless, 8), (JPEGBaseline8Bit, 8), (JPEGLossless, 12)],
)
def test_a_codestream_damaged_in_the_middle_is_refused(
    tmp_path: Path, syntax: UID, bits: int
) -> None:
    """A library that fills in what it cannot decode would show a film that nobody took."""
    picture = make_picture(bits=bits)
    path = make_film(tmp_path / "film.dcm", picture, syntax=syntax, BitsStored=bits)
    frame = frame_of(path)
    middle = len(frame) // 2
    broken = frame[:middle] + b"\x55" * 300 + frame[middle + 300 :]
    write_encapsulated(path, pydicom.dcmread(path), broken, syntax)
    refused(path, "decoded")


@pytest.mark.parametrize("kept", [0.33, 0.9, 0.99])
@pytest.mark.parametrize(
    ("syntax", "bits"),
    [
        (JPEGLSLossless, 8),
        (JPEGLSNearLossless, 8),
        (JPEGBaseline8Bit, 8),
        (JPEGExtended12Bit, 12),
        (JPEGLossless, 12),
        (JPEGLosslessSV1, 12),
        (JPEGLosslessSV1, 16),
    ],
)
def test_a_codestream_cut_off_under_a_new_end_is_refused(
    tmp_path: Path, syntax: UID, bits: int, kept: float
) -> None:
    path = make_film(tmp_path / "film.dcm", make_picture(bits=bits), syntax=syntax, BitsStored=bits)
    frame = frame_of(path).rstrip(b"\0")
    cut = frame[: int(kept * len(frame))] + b"\xff\xd9"
    write_encapsulated(path, pydicom.dcmread(path), cut, syntax)
    refused(path, "decoded")


def test_colour_cut_off_under_a_new_end_is_refused(tmp_path: Path) -> None:
    picture = np.stack([make_picture(), make_picture()[::-1], make_picture()], axis=-1)
    dataset = make_dataset(
        picture,
        SOPClassUID=SecondaryCaptureImageStorage,
        PhotometricInterpretation="YBR_FULL_422",
    )
    frame = cv2.imencode(".jpg", picture)[1].tobytes()
    path = write_encapsulated(tmp_path / "whole.dcm", dataset, frame, JPEGBaseline8Bit)
    assert decode(path, max_pixels=MAX_PIXELS)[1].shape == picture.shape
    cut = frame[: len(frame) // 2] + b"\xff\xd9"
    refused(write_encapsulated(tmp_path / "cut.dcm", dataset, cut, JPEGBaseline8Bit), "decoded")


@pytest.mark.parametrize("tile", [0, 1, 3])
def test_a_jpeg_2000_that_lacks_a_tile_is_refused(tmp_path: Path, tile: int) -> None:
    """Its decoder would leave the tile black, which nobody could tell from a healthy lung."""
    whole = base64.b85decode(TILED)
    dataset = make_dataset(np.zeros((32, 32), np.uint8))
    path = write_encapsulated(tmp_path / "whole.dcm", dataset, whole, JPEG2000)
    assert decode(path, max_pixels=MAX_PIXELS)[1].std() > 10
    head, *tiles = whole.removesuffix(b"\xff\xd9").split(b"\xff\x90\x00\x0a")
    assert len(tiles) == 4
    del tiles[tile]
    lacking = b"\xff\x90\x00\x0a".join([head, *tiles]) + b"\xff\xd9"
    refused(
        write_encapsulated(tmp_path / "lacking.dcm", dataset, lacking, JPEG2000),
        "cut off, or a part is missing",
    )


def test_a_sequential_jpeg_without_its_spectrum_is_read(tmp_path: Path) -> None:
    """Some encoders leave Ss and Se of the scan at zero, which have one meaning only."""
    picture = make_picture(bits=12)
    path = make_film(tmp_path / "film.dcm", picture, syntax=JPEGExtended12Bit, BitsStored=12)
    _, expected = decode(path, max_pixels=MAX_PIXELS)
    frame = bytearray(frame_of(path))
    scan = frame.index(b"\xff\xda")
    assert frame[scan + 7 : scan + 9] == b"\x00\x3f"
    frame[scan + 8] = 0
    write_encapsulated(path, pydicom.dcmread(path), bytes(frame), JPEGExtended12Bit)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, expected)


def test_an_arithmetic_jpeg_is_refused_by_name(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    frame = frame_of(path).replace(b"\xff\xc0", b"\xff\xc9")
    write_encapsulated(path, pydicom.dcmread(path), frame, JPEGBaseline8Bit)
    refused(path, "arithmetic", code=RefusalCode.UNSUPPORTED)


def test_a_progressive_jpeg_is_read(tmp_path: Path) -> None:
    picture = make_picture()
    _, frame = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    path = tmp_path / "film.dcm"
    write_encapsulated(path, make_dataset(), frame.tobytes(), JPEGBaseline8Bit)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.abs(values.astype(int) - picture).max() <= 4


@pytest.mark.parametrize("label", [JPEGLossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_jpeg_under_the_name_of_another_kind_is_read(tmp_path: Path, label: UID) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    _, expected = decode(path, max_pixels=MAX_PIXELS)
    write_encapsulated(path, pydicom.dcmread(path), frame_of(path), label)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, expected)


def test_samples_deeper_than_the_header_says_are_refused(tmp_path: Path) -> None:
    picture = make_picture(bits=12)
    path = make_film(tmp_path / "film.dcm", picture, syntax=JPEGLossless, BitsStored=12)
    write_encapsulated(path, make_dataset(), frame_of(path), JPEGLossless)
    refused(path, "cells of 16 bits, but the header says cells of 8 bits")


def test_a_jpeg_2000_cut_into_countless_tiles_is_not_decoded(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEG2000Lossless)
    frame = bytearray(frame_of(path))
    struct.pack_into(">2I", frame, frame.index(b"\xff\x4f\xff\x51") + 24, 1, 1)
    write_encapsulated(path, pydicom.dcmread(path), bytes(frame), JPEG2000Lossless)
    refused(path, "cut off")


def _segments(count: int, *starts: int) -> Callable[[bytes], bytes]:
    def change(frame: bytes) -> bytes:
        return struct.pack(f"<{1 + len(starts)}I", count, *starts) + frame[4 * len(starts) + 4 :]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _segments(0),
        _segments(16),
        _segments(0xFFFFFFFF),
        _segments(2, 64, 100),
        _segments(1, 0),
        _segments(1, 10**8),
        lambda frame: frame[:40],
    ],
    ids=["none", "sixteen", "countless", "one too many", "in the header", "outside", "cut off"],
)
def test_an_rle_header_that_lies_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=RLELossless)
    write_encapsulated(path, pydicom.dcmread(path), change(frame_of(path)), RLELossless)
    refused(path, "RLE")


@pytest.mark.parametrize(
    ("written", "label", "words"),
    [
        (JPEGBaseline8Bit, ExplicitVRLittleEndian, "is compressed, although"),
        (ExplicitVRLittleEndian, JPEGBaseline8Bit, "is not compressed, although"),
        (JPEGBaseline8Bit, RLELossless, "RLE"),
        (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, "not deflated"),
    ],
)
def test_a_wrong_transfer_syntax_is_told_as_such(
    tmp_path: Path, written: UID, label: UID, words: str
) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=written)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    dataset = make_dataset()
    dataset.file_meta.TransferSyntaxUID = label
    head = tmp_path / "head.dcm"
    pydicom.filewriter.write_file_meta_info(head_file := head.open("wb"), dataset.file_meta)
    head_file.close()
    path.write_bytes(bytes(128) + b"DICM" + head.read_bytes() + whole[start:])
    refused(path, words)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"Rows": [256, 256]}, ""),
        ({"PlanarConfiguration": 9}, ""),
        ({"SamplesPerPixel": 0}, ""),
        ({"BitsStored": None}, "how many bits"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette"),
    ],
)
def test_a_header_out_of_order_is_read_where_one_meaning_is_left(
    tmp_path: Path, elements: dict[str, Any], words: str
) -> None:
    dataset = make_dataset()
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    path = tmp_path / "film.dcm"
    dataset.save_as(path, enforce_file_format=True)
    if words:
        refused(path, words)
    else:
        _, values = decode(path, max_pixels=MAX_PIXELS)
        assert np.array_equal(values, make_picture())


def test_colour_without_a_planar_configuration_is_taken_pixel_by_pixel(tmp_path: Path) -> None:
    colours = np.stack([make_picture(), make_picture()[::-1], make_picture()], axis=-1)
    path = make_film(tmp_path / "film.dcm", colours, SOPClassUID=SecondaryCaptureImageStorage)
    dataset = pydicom.dcmread(path)
    del dataset.PlanarConfiguration
    dataset.save_as(path, overwrite=True)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, colours)


def test_a_file_that_ends_with_its_meta_information_is_called_so(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm")
    whole = path.read_bytes()
    path.write_bytes(whole[: 144 + int.from_bytes(whole[140:144], "little")])
    refused(path, "ends before its data set begins")


def test_pixel_data_longer_than_the_file_is_cut_off(tmp_path: Path) -> None:
    """Whatever length is declared: nothing is reserved for it."""
    path = make_film(tmp_path / "film.dcm")
    whole = bytearray(path.read_bytes())
    at = whole.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OB")) + 8
    struct.pack_into("<I", whole, at, 0xFFFFFFFE)
    path.write_bytes(whole)
    refused(path, "cut off")


def _insert(path: Path, before: tuple[int, int], data: bytes) -> None:
    whole = path.read_bytes()
    at = whole.index(struct.pack("<HH", *before))
    path.write_bytes(whole[:at] + data + whole[at:])


def test_countless_sequence_items_are_refused_at_once(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=ImplicitVRLittleEndian)
    items = item(b"") * (HEADER_MAX_ITEMS + 1)
    sequence = struct.pack("<HHI", 0x0008, 0x1140, UNDEFINED) + items + DELIMITER
    _insert(path, (0x0010, 0x0010), sequence)
    refused(path, "too large")


def test_a_value_of_megabytes_is_not_converted(tmp_path: Path) -> None:
    """Five million window centers took minutes, and told nothing."""
    path = make_film(tmp_path / "film.dcm", syntax=ImplicitVRLittleEndian)
    _, expected = load_display(path, MAX_PIXELS)
    centers = b"1\\" * 5_000_000
    element = struct.pack("<HHI", 0x0028, 0x1050, len(centers)) + centers
    _insert(path, (0x7FE0, 0x0010), element)
    _, shown = load_display(path, MAX_PIXELS)
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize(
    ("elements", "code", "words"),
    [
        ({"Rows": 0}, RefusalCode.UNDECODABLE, "Rows or Columns are missing or zero"),
        ({"BitsStored": 12}, RefusalCode.UNDECODABLE, "Bits Stored is 12, Bits Allocated 8"),
        ({"BitsAllocated": 1, "BitsStored": 1}, RefusalCode.UNSUPPORTED, "Bits Allocated is 1,"),
        (
            {"PhotometricInterpretation": None},
            RefusalCode.UNSUPPORTED,
            "has no Photometric Interpretation, so that nobody can tell bright from dark",
        ),
        (
            {"PhotometricInterpretation": "monochrome2"},
            RefusalCode.UNSUPPORTED,
            "Samples per Pixel 1 .MONOCHROME1, MONOCHROME2, PALETTE COLOR",
        ),
    ],
)
def test_a_header_that_cannot_be_true_is_told_what_is_wrong_with_it(
    tmp_path: Path, elements: dict[str, Any], code: RefusalCode, words: str
) -> None:
    refused(make_film(tmp_path / "film.dcm", **elements), words, code=code)
