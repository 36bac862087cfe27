"""Decoding: every transfer syntax, and every way a file can lie about its pixels."""

from __future__ import annotations

import logging
import shutil
import struct
import subprocess
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2K,
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from inference.decode import decode, read_header
from inference.parse import HEADER_MAX_BYTES, HEADER_MAX_ELEMENTS
from inference.reading import RefusalCode, RefusedError
from settings import TRANSFER_SYNTAXES
from tests.inference.films import (
    deflated,
    htj2k_picture,
    make_dataset,
    make_film,
    make_htj2k_film,
    make_picture,
    write_encapsulated,
)

MAX_PIXELS = 1_000_000
# The error that an encoder may make, in grey levels of 12 bits.
ENCODING_ERRORS = {
    "1.2.840.10008.1.2.4.50": 2,
    "1.2.840.10008.1.2.4.81": 2,
    "1.2.840.10008.1.2.4.91": 8,
    "1.2.840.10008.1.2.4.203": 12,
}


def refusal_of(call: Callable[[], object]) -> RefusalCode:
    """The code a call refuses with; the reason must be one sentence without patient data."""
    with pytest.raises(RefusedError) as caught:
        call()
    reason = caught.value.refusal.reason
    assert reason.endswith(".")
    assert "\n" not in reason
    assert "anary" not in reason.lower()
    return caught.value.refusal.code


def refusal_to_decode(path: Path) -> RefusalCode:
    return refusal_of(lambda: decode(path, max_pixels=MAX_PIXELS))


def by_dcmtk(path: Path) -> NDArray[Any]:
    """The values that DCMTK's decoder makes of a JPEG film."""
    if shutil.which("dcmdjpeg") is None:
        pytest.skip("DCMTK's dcmdjpeg is not installed")
    plain = path.with_suffix(".decoded")
    subprocess.run(["dcmdjpeg", str(path), str(plain)], check=True)
    return pydicom.dcmread(plain).pixel_array


@pytest.mark.parametrize("uid", TRANSFER_SYNTAXES)
def test_every_listed_transfer_syntax_decodes(tmp_path: Path, uid: str) -> None:
    syntax = UID(uid)
    path = tmp_path / "film.dcm"
    if "High-Throughput" in syntax.name:
        picture: NDArray[Any] = htj2k_picture()
        make_htj2k_film(path, syntax)
    else:
        bits = 8 if syntax == JPEGBaseline8Bit else 12
        picture = make_picture(bits=bits)
        make_film(path, picture, syntax=syntax, BitsStored=bits)
    if syntax == JPEGExtended12Bit:  # its encoder moves the values, so compare another decoder
        picture = by_dcmtk(path)

    header, values = decode(path, max_pixels=MAX_PIXELS)

    assert header.file_meta.TransferSyntaxUID == uid
    assert "PixelData" not in header
    assert values.shape == picture.shape
    assert values.dtype == picture.dtype
    allowed = 1 if syntax == JPEGExtended12Bit else ENCODING_ERRORS.get(uid, 0)
    assert np.abs(values.astype(int) - picture).max() <= allowed


def test_the_fast_jpeg_path_agrees_with_two_other_decoders(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.abs(values.astype(int) - pydicom.dcmread(path).pixel_array).max() <= 1
    assert np.abs(values.astype(int) - by_dcmtk(path)).max() <= 1


def test_real_encodings_of_one_image_hold_the_same_values(real_data: Path) -> None:
    folder = real_data / "dicom_syntax"
    _, native = decode(
        folder / "cs3d__CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm",
        max_pixels=MAX_PIXELS,
    )
    assert native.min() == -2000
    seen = 0
    for path in sorted(folder.glob("cs3d__CTImage.dcm_*")):
        syntax = UID(path.name.removesuffix(".dcm").rpartition("_")[2])
        if "Process" in path.name and "14" not in path.name:
            continue  # lossy, of rescaled values
        _, values = decode(path, max_pixels=MAX_PIXELS)
        allowed = {"1.2.840.10008.1.2.4.81": 3, "1.2.840.10008.1.2.4.91": 12}.get(syntax, 0)
        assert np.abs(values.astype(int) - native).max() <= allowed, path.name
        seen += 1
    assert seen == 10


def test_real_rsna_films_decode_as_pydicom_does(real_data: Path) -> None:
    films = sorted((real_data / "rsna_mini" / "stage_2_train_images").glob("*.dcm"))[:5]
    for path in films:
        _, values = decode(path, max_pixels=2_000_000)
        assert np.abs(values.astype(int) - pydicom.dcmread(path).pixel_array).max() <= 1


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_signed_values_keep_their_sign(tmp_path: Path, syntax: UID) -> None:
    picture = (make_picture(bits=12).astype(np.int16)) - 2048
    path = make_film(tmp_path / "film.dcm", picture, syntax=syntax, BitsStored=12)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, picture)


def test_bits_above_bits_stored_are_not_pixel_values(tmp_path: Path) -> None:
    picture = make_picture(bits=12)
    with_overlay = picture | np.uint16(0x8000)  # PS3.5 8.1.1: an overlay in an unused bit
    path = make_film(tmp_path / "film.dcm", with_overlay, BitsStored=12)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, picture)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_an_unusual_high_bit_is_followed(tmp_path: Path, syntax: UID, dtype: type) -> None:
    picture = make_picture(bits=12).astype(dtype) - dtype(0 if dtype is np.uint16 else 2048)
    raised = np.left_shift(picture, 3) | dtype(7)
    path = make_film(tmp_path / "film.dcm", raised, syntax=syntax, BitsStored=12, HighBit=14)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, picture)


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_comes_as_rgb(tmp_path: Path, planar: int) -> None:
    colours = np.stack([make_picture(), make_picture()[::-1], make_picture()[:, ::-1]], axis=-1)
    stored = colours if planar == 0 else colours.transpose(2, 0, 1)
    path = make_film(
        tmp_path / "film.dcm", colours, PixelData=stored.tobytes(), PlanarConfiguration=planar
    )
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, colours)


def test_ybr_colour_comes_as_rgb(tmp_path: Path) -> None:
    grey = make_picture()
    neutral = np.full_like(grey, 128)
    path = make_film(
        tmp_path / "film.dcm",
        np.stack([grey, neutral, neutral], axis=-1),
        PhotometricInterpretation="YBR_FULL",
    )
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, np.stack([grey] * 3, axis=-1))


def test_16_bit_colour_is_brought_to_8(tmp_path: Path) -> None:
    colours = np.stack([make_picture(bits=12)] * 3, axis=-1)
    path = make_film(tmp_path / "film.dcm", colours, BitsStored=12)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert values.dtype == np.uint8
    assert np.array_equal(values, colours >> 4)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_a_data_set_without_preamble_and_meta_is_read(tmp_path: Path, syntax: UID) -> None:
    picture = make_picture(bits=12)
    path = make_film(tmp_path / "film.dcm", picture, syntax=syntax, BitsStored=12)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    path.write_bytes(whole[start:])
    header, values = decode(path, max_pixels=MAX_PIXELS)
    assert header.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(values, picture)
    assert read_header(path).PatientID == "CANARY-1"


def test_a_frame_in_several_fragments_is_read(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    whole = pydicom.dcmread(path)
    _, expected = decode(path, max_pixels=MAX_PIXELS)
    codestream = pydicom.encaps.get_frame(whole.PixelData, 0, number_of_frames=1)
    whole.PixelData = pydicom.encaps.encapsulate([codestream], fragments_per_frame=4, has_bot=False)
    whole.save_as(path, overwrite=True)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, expected)


@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html><html><body>Log in</body></html>" * 9, b"\x89PNG\r\n\x1a\n" * 40],
)
def test_what_is_not_dicom_is_called_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.dcm"
    path.write_bytes(content)
    assert refusal_of(lambda: read_header(path)) is RefusalCode.NOT_DICOM


def test_a_missing_file_is_not_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "none.dcm")


def _with_float_pixels(dataset: Dataset) -> None:
    del dataset.PixelData
    dataset.FloatPixelData = np.zeros(dataset.Rows * dataset.Columns, np.float32).tobytes()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda d: delattr(d, "PixelData"), RefusalCode.NO_PIXELS),
        (lambda d: setattr(d, "PixelData", b""), RefusalCode.NO_PIXELS),
        (_with_float_pixels, RefusalCode.UNSUPPORTED),
        (lambda d: delattr(d, "SOPClassUID"), RefusalCode.UNSUPPORTED),
        (lambda d: setattr(d, "BitsAllocated", 32), RefusalCode.UNSUPPORTED),
        (lambda d: setattr(d, "BitsStored", 9), RefusalCode.UNDECODABLE),
        (lambda d: setattr(d, "SamplesPerPixel", 4), RefusalCode.UNSUPPORTED),
        (lambda d: setattr(d, "NumberOfFrames", 2), RefusalCode.FRAMES),
        (lambda d: setattr(d, "DirectoryRecordSequence", Sequence()), RefusalCode.UNSUPPORTED),
        (lambda d: delattr(d, "Rows"), RefusalCode.UNDECODABLE),
        (lambda d: setattr(d, "Rows", 0), RefusalCode.UNDECODABLE),
        (lambda d: delattr(d, "PhotometricInterpretation"), RefusalCode.UNSUPPORTED),
        (lambda d: setattr(d, "PhotometricInterpretation", "RGB"), RefusalCode.UNSUPPORTED),
        (lambda d: setattr(d, "Rows", 8000), RefusalCode.TOO_LARGE),
        (lambda d: setattr(d, "Rows", 257), RefusalCode.UNDECODABLE),
    ],
)
def test_an_object_without_a_readable_image_is_refused(
    tmp_path: Path, change: Callable[[Dataset], None], code: RefusalCode
) -> None:
    dataset = make_dataset()
    change(dataset)
    path = tmp_path / "object.dcm"
    dataset.save_as(path)
    assert refusal_to_decode(path) is code


def test_an_unsupported_transfer_syntax_is_named(tmp_path: Path) -> None:
    path = write_encapsulated(tmp_path / "film.dcm", make_dataset(), bytes(64), MPEG2MPML)
    with pytest.raises(RefusedError, match="MPEG2") as caught:
        read_header(path)
    assert caught.value.refusal.code is RefusalCode.UNSUPPORTED


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        JPEGBaseline8Bit,
        JPEGLossless,
        JPEGLSLossless,
        JPEGLSNearLossless,
        JPEG2000Lossless,
        RLELossless,
    ],
)
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.995])
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, syntax: UID, kept: float) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=syntax)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    assert refusal_to_decode(path) is RefusalCode.UNDECODABLE


@pytest.mark.parametrize(
    "syntax", [JPEGBaseline8Bit, JPEGLossless, JPEGLSLossless, JPEG2000Lossless]
)
def test_a_codestream_cut_off_in_a_whole_file_is_refused(tmp_path: Path, syntax: UID) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=syntax)
    whole = pydicom.dcmread(path)
    codestream = pydicom.encaps.get_frame(whole.PixelData, 0, number_of_frames=1)
    write_encapsulated(path, whole, codestream[: len(codestream) * 3 // 4], syntax)
    assert refusal_to_decode(path) is RefusalCode.UNDECODABLE


def test_a_file_cut_off_in_its_header_is_refused(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", ImageComments="x" * 2000)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"xxx") + 1000])
    assert refusal_of(lambda: read_header(path)) is RefusalCode.UNDECODABLE


@pytest.mark.parametrize(
    "syntax",
    [JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLSLossless, JPEG2000Lossless],
)
def test_a_codestream_larger_than_its_header_says_is_not_decoded(
    tmp_path: Path, syntax: UID, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=syntax)
    lying = pydicom.dcmread(path)
    lying.Rows = lying.Columns = 8
    lying.save_as(path, overwrite=True)
    _forbid_decoding(monkeypatch)
    assert refusal_to_decode(path) is RefusalCode.UNDECODABLE


def test_a_jpeg_2000_bomb_behind_a_small_header_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEG2000Lossless)
    whole = path.read_bytes()
    size_at = whole.index(b"\xff\x4f\xff\x51") + 8
    bomb = struct.pack(">2I", 30_000, 30_000)
    path.write_bytes(whole[:size_at] + bomb + whole[size_at + 8 :])
    _forbid_decoding(monkeypatch)
    assert refusal_to_decode(path) is RefusalCode.TOO_LARGE


def test_a_subsampled_jpeg_2000_bomb_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The component is as small as the header says, but the grid to decode is vast."""
    path = make_film(tmp_path / "film.dcm", syntax=JPEG2000Lossless)
    whole = bytearray(path.read_bytes())
    start = whole.index(b"\xff\x4f\xff\x51")
    struct.pack_into(">2I", whole, start + 8, 240 * 200, 256 * 200)
    struct.pack_into(">2B", whole, start + 43, 200, 200)
    path.write_bytes(whole)
    _forbid_decoding(monkeypatch)
    assert refusal_to_decode(path) is RefusalCode.TOO_LARGE


def _forbid_decoding(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def decoded(*_: object, **__: object) -> None:
        pytest.fail("the pixels were decoded")

    for name in names or ("get_decoder", "simplejpeg.decode_jpeg"):
        monkeypatch.setattr(f"inference.decode.{name}", decoded)


def test_8_bit_grey_jpeg_takes_the_fast_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    _forbid_decoding(monkeypatch, "get_decoder")
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert values.shape == (256, 240)


def test_a_jpeg_of_three_components_in_a_grey_film_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, codestream = cv2.imencode(".jpg", np.stack([make_picture()] * 3, axis=-1))
    path = write_encapsulated(
        tmp_path / "film.dcm", make_dataset(), codestream.tobytes(), JPEGBaseline8Bit
    )
    _forbid_decoding(monkeypatch)
    assert refusal_to_decode(path) is RefusalCode.UNDECODABLE


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    whole = pydicom.dcmread(path)
    codestream = pydicom.encaps.get_frame(whole.PixelData, 0, number_of_frames=1)
    thumbnail = b"\xff\xe1" + struct.pack(">H", 6) + b"\xff\xd8\xff\xd9"
    cut = codestream[:2] + thumbnail + codestream[2 : len(codestream) // 2]
    write_encapsulated(path, whole, cut, JPEGBaseline8Bit)
    _forbid_decoding(monkeypatch)
    assert refusal_to_decode(path) is RefusalCode.UNDECODABLE


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, HTJ2K, JPEGLSLossless])
def test_a_codestream_of_something_else_is_refused(tmp_path: Path, syntax: UID) -> None:
    path = write_encapsulated(tmp_path / "film.dcm", make_dataset(), bytes(5000), syntax)
    assert refusal_to_decode(path) is RefusalCode.UNDECODABLE


def test_an_exif_orientation_does_not_turn_the_film(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    _, upright = decode(path, max_pixels=MAX_PIXELS)
    whole = pydicom.dcmread(path)
    codestream = pydicom.encaps.get_frame(whole.PixelData, 0, number_of_frames=1)
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    write_encapsulated(path, whole, codestream[:2] + segment + codestream[2:], JPEGBaseline8Bit)
    _, values = decode(path, max_pixels=MAX_PIXELS)
    assert np.array_equal(values, upright)


def test_a_deflated_bomb_is_inflated_no_further_than_allowed(tmp_path: Path) -> None:
    path = deflated(tmp_path / "film.dcm", make_dataset(), inflated_size=600 << 20)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        header, values = decode(path, max_pixels=MAX_PIXELS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.array_equal(values, make_picture())
    assert header.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert peak < 3 * HEADER_MAX_BYTES


def test_a_deflated_bomb_before_the_pixels_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset()
    dataset.add_new(0x00091001, "OB", bytes(HEADER_MAX_BYTES + 1024))
    path = deflated(tmp_path / "film.dcm", dataset, inflated_size=0)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(RefusedError, match="too large"):
        read_header(path)


def test_an_enormous_header_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset()
    dataset.add_new(0x00091001, "OB", bytes(HEADER_MAX_BYTES))
    path = tmp_path / "film.dcm"
    dataset.save_as(path)
    with pytest.raises(RefusedError, match="too large"):
        read_header(path)


def test_a_header_of_countless_elements_is_refused(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=ImplicitVRLittleEndian)
    whole = path.read_bytes()
    end = whole.index(struct.pack("<HH", 0x0028, 0x0002))
    element = struct.pack("<HHI", 0x0021, 0x1010, 2) + b"x "
    path.write_bytes(whole[:end] + element * (HEADER_MAX_ELEMENTS + 1) + whole[end:])
    with pytest.raises(RefusedError, match="too large"):
        read_header(path)


def test_a_deeply_nested_header_is_refused(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=ImplicitVRLittleEndian)
    whole = path.read_bytes()
    end = whole.index(struct.pack("<HH", 0x0028, 0x0002))
    undefined = 0xFFFFFFFF
    level = struct.pack("<HHI", 0x0008, 0x1115, undefined) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, undefined
    )
    path.write_bytes(whole[:end] + level * 100_000 + whole[end:])
    assert refusal_of(lambda: read_header(path)) is RefusalCode.UNDECODABLE


def test_broken_values_are_neither_logged_nor_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_film(tmp_path / "film.dcm")
    whole = path.read_bytes()
    assert whole.count(b"ISO_IR 192") == 1
    path.write_bytes(whole.replace(b"ISO_IR 192", b"CANARY 192"))
    with pytest.warns(UserWarning, match="CANARY"):
        pydicom.dcmread(path)
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(path, max_pixels=MAX_PIXELS)
    assert not caught
    assert "CANA" not in caplog.text


def test_hostile_real_files_are_decoded_or_refused(real_data: Path) -> None:
    codes = {}
    for path in sorted((real_data / "dicom_hostile").glob("*.dcm")):
        try:
            decode(path, max_pixels=100_000_000)
        except RefusedError as refused:
            codes[path.name] = refused.refusal.code
    assert codes["mike__test1.dcm"] is RefusalCode.NOT_DICOM
    assert codes["orth__2026-05-06-Deeply-Nested-Sequence.dcm"] is RefusalCode.UNDECODABLE
    assert codes["orth__2026-05-26-oob-monochrome-65535.dcm"] is RefusalCode.TOO_LARGE
    assert codes["pyd__MR_truncated.dcm"] is RefusalCode.UNDECODABLE
    assert codes["pyd__DICOMDIR.dcm"] is RefusalCode.UNSUPPORTED


def test_a_damaged_jpeg_is_refused_and_not_guessed_at(tmp_path: Path) -> None:
    """A decoder that fills in what is missing would show a film that nobody took."""
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    film = pydicom.dcmread(path)
    codestream = bytearray(next(generate_frames(film.PixelData, number_of_frames=1)))
    middle = len(codestream) // 2
    codestream[middle : middle + 200] = bytes(range(200))
    film.PixelData = encapsulate([bytes(codestream)])
    film.save_as(path)
    with pytest.raises(RefusedError) as refused:
        decode(path, max_pixels=MAX_PIXELS)
    assert refused.value.refusal.code is RefusalCode.UNDECODABLE
