"""The overlay shows the film as it is, with coloured boxes and a legend, as a real JPEG."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.encaps import generate_frames

from inference.reading import Box, Finding, Reading
from inference.report import words
from inference.report.build import build_study
from inference.report.look import COLOURS
from inference.report.overlay import draw
from tests import judges
from tests.inference.report.studies import (
    ABNORMAL,
    DEVICE,
    NORMAL,
    OPACITY,
    film,
    job,
    keep,
    read,
    shadows,
)

Pixels = NDArray[np.uint8]
AMBER = COLOURS["amber"]


def plain(rows: int, columns: int, light: int) -> Pixels:
    return np.full((rows, columns), light, np.uint8)


def sized(rows: int, columns: int, reading: Reading = OPACITY) -> Reading:
    boxes = (Box(columns * 0.2, rows * 0.2, columns * 0.3, rows * 0.4, 0.88),)
    return replace(reading, rows=rows, columns=columns, boxes=boxes if reading.boxes else ())


def chroma(picture: Pixels) -> NDArray[np.int16]:
    """Return how far each pixel is from grey."""
    signed = picture.astype(np.int16)
    return np.asarray(signed.max(axis=2) - signed.min(axis=2))


@pytest.mark.parametrize("light", [0, 128, 255])
@pytest.mark.parametrize("size", [(1024, 1024), (3000, 2400)])
def test_every_edge_of_a_box_is_coloured_on_any_ground(light: int, size: tuple[int, int]) -> None:
    rows, columns = size
    reading = sized(rows, columns)
    picture = draw(plain(rows, columns, light), reading, DEVICE)
    (box,) = reading.boxes
    left, right = round(box.x), round(box.x + box.width)
    top, bottom = round(box.y), round(box.y + box.height)
    for edge in (
        picture[top, left:right],
        picture[bottom, left:right],
        picture[top:bottom, left],
        picture[top:bottom, right],
    ):
        assert (edge == AMBER).all()
    inside = picture[
        top + rows // 50 : bottom - rows // 50, left + columns // 50 : right - columns // 50
    ]
    assert (inside == light).all(), "nothing is drawn over the opacity itself"


@pytest.mark.parametrize("light", [0, 255])
@pytest.mark.parametrize("reading", [OPACITY, ABNORMAL, NORMAL])
def test_the_legend_is_readable_and_leaves_the_rest_of_the_film_alone(
    light: int, reading: Reading
) -> None:
    picture = draw(plain(1024, 1024, light), sized(1024, 1024, reading), DEVICE)
    strip = picture[-70:].max(axis=2).astype(int)
    ground = int(np.median(strip))
    assert ground < 100
    text = strip > ground + 100
    assert 0.02 < text.mean() < 0.2
    assert not text[:, :8].any(), "the text keeps a margin"
    assert not text[:, -8:].any(), "the text keeps a margin"
    if reading is not OPACITY:
        assert (picture[:-80] == light).all()


@pytest.mark.parametrize("size", [(169, 211), (440, 440), (2446, 2010), (400, 1600)])
def test_the_legend_fits_films_of_every_shape(size: tuple[int, int]) -> None:
    picture = draw(plain(*size, 0), sized(*size, NORMAL), DEVICE)
    ink = picture.max(axis=2) > 60
    assert ink.any()
    assert not ink[:, -3:].any()
    assert not ink[-2:].any()


def test_the_legend_names_what_read_the_film_and_what_that_is_worth() -> None:
    assert words.legend(OPACITY, DEVICE) == [
        "Algorithm hilum-default 1, threshold 42 %",
        "For evaluation, not for clinical use",
        "Not verified by a physician",
    ]
    clinical = replace(DEVICE, evaluation_only=False)
    assert words.legend(NORMAL, clinical) == [
        "Algorithm hilum-default 1, threshold 42 %",
        "Not verified by a physician",
    ]
    with_note = draw(plain(600, 800, 0), sized(600, 800, NORMAL), DEVICE)
    without = draw(plain(600, 800, 0), sized(600, 800, NORMAL), clinical)
    assert with_note.sum() > without.sum(), "the note is drawn"


def test_headlines_of_different_findings_look_different() -> None:
    pictures = {
        reading.finding: draw(plain(600, 800, 0), sized(600, 800, reading), DEVICE)[-60:]
        for reading in (OPACITY, ABNORMAL, NORMAL)
    }
    assert chroma(pictures[Finding.OPACITY]).max() > 150, "an opacity is said in colour"
    for finding in (Finding.ABNORMAL, Finding.NORMAL):
        assert chroma(pictures[finding]).max() == 0
    assert not np.array_equal(pictures[Finding.ABNORMAL], pictures[Finding.NORMAL])


def test_boxes_at_the_very_edge_are_drawn() -> None:
    edges = replace(
        OPACITY,
        rows=500,
        columns=500,
        boxes=(Box(0, 0, 100, 80, 0.999), Box(380, 440, 120, 60, 0.004)),
    )
    picture = draw(plain(500, 500, 200), edges, DEVICE)
    assert (picture[0, 0] == AMBER).all()
    assert (picture[499, 499] == AMBER).all()


@pytest.mark.parametrize("monochrome1", [False, True])
def test_the_overlay_has_the_films_polarity_and_size(tmp_path: Path, monochrome1: bool) -> None:
    path = film(tmp_path / "film.dcm", monochrome1=monochrome1)
    results = keep(tmp_path / "results", build_study(job(read(path))))
    shown = judges.pixels(results[1])
    assert shown.shape == (320, 256, 3)
    seen = shadows()
    bright, dark, black = shown[30:55, 60:100], shown[30:55, 160:200], shown[0:8, 0:8]
    assert seen[30:55, 60:100].mean() > seen[30:55, 160:200].mean() > seen[0:8, 0:8].mean()
    assert bright.mean() > dark.mean() + 20 > black.mean() + 40
    edge = shown[120:170, round(20.5)].astype(int)
    assert (edge[:, 0] - edge[:, 2] > 80).all(), "the left edge of the first box is amber"


def test_the_overlay_is_baseline_jpeg_with_4_2_2_chroma(tmp_path: Path) -> None:
    result = build_study(job(read(film(tmp_path / "film.dcm"))))
    dataset = dcmread(BytesIO(result.overlays[0].data))
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    assert _frame_header(frame) == (0xC0, 8, 320, 256, [(2, 1), (1, 1), (1, 1)])
    assert dataset.PhotometricInterpretation == "YBR_FULL_422"
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    assert dataset.LossyImageCompressionMethod == "ISO_10918_1"
    assert dataset.LossyImageCompressionRatio == pytest.approx(
        320 * 256 * 3 / len(frame.rstrip(b"\0")), rel=0.01
    )
    assert dataset.BurnedInAnnotation == "YES"
    for absent in ("FrameOfReferenceUID", "PixelSpacing", "ImageOrientationPatient"):
        assert absent not in dataset


def test_an_earlier_lossy_compression_is_counted(tmp_path: Path) -> None:
    before = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "9.1",
        "LossyImageCompressionMethod": "ISO_15444_1",
    }
    result = build_study(job(read(film(tmp_path / "film.dcm", **before))))
    dataset = dcmread(BytesIO(result.overlays[0].data))
    assert dataset.LossyImageCompression == "01"
    assert dataset.LossyImageCompressionMethod == ["ISO_15444_1", "ISO_10918_1"]
    assert len(dataset.LossyImageCompressionRatio) == 2
    assert dataset.LossyImageCompressionRatio[0] == 9.1


def test_the_quality_is_the_one_asked_for(tmp_path: Path) -> None:
    images = (read(film(tmp_path / "film.dcm")),)
    sizes = [
        len(build_study(job(*images, jpeg_quality=quality)).overlays[0].data)
        for quality in (50, 90, 100)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_smaller_overlay_keeps_shape_and_boxes_in_place(tmp_path: Path) -> None:
    result = build_study(job(read(film(tmp_path / "film.dcm")), sc_max_side=160))
    dataset = dcmread(BytesIO(result.overlays[0].data))
    assert (dataset.Rows, dataset.Columns) == (160, 128)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    picture = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
    edge = picture[60:90, 10].astype(int)
    assert (edge[:, 2] - edge[:, 0] > 20).all(), "the left edge of the first box, one pixel wide"
    large = build_study(job(read(film(tmp_path / "film.dcm")), sc_max_side=4000))
    assert dcmread(BytesIO(large.overlays[0].data)).Rows == 320, "it is never enlarged"


def _frame_header(jpeg: bytes) -> tuple[int, int, int, int, list[tuple[int, int]]]:
    """Return the first frame's marker, bits, rows, columns and sampling factors (T.81 B.2.2)."""
    position = 2
    while True:
        marker = jpeg[position + 1]
        length = int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2):
            body = jpeg[position + 4 : position + 2 + length]
            rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            factors = [(body[7 + 3 * i] >> 4, body[7 + 3 * i] & 15) for i in range(body[5])]
            return marker, body[0], rows, columns, factors
        position += 2 + length
