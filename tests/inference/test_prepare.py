"""Preparing: a file becomes an input or a refusal, whatever is in it."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.pixels.decoders import pylibjpeg
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from inference.isolation import ChildFailedError, IsolatedPool
from inference.pixels import InputForm
from inference.prepare import Limits, Prepared, _Recent, display_again, load_display, prepare
from inference.reading import Refusal, RefusalCode, RefusedError
from settings import Eligibility
from tests.inference.films import make_film, make_picture

FORM = InputForm(64)
LIMITS = Limits(max_pixels=4_000_000, eligibility=Eligibility())
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
)


@pytest.fixture(scope="module")
def pool() -> Iterator[IsolatedPool]:
    with IsolatedPool(2, timeout_seconds=20, memory_bytes=2 << 30) as pool:
        yield pool


def refused(path: Path) -> Refusal:
    outcome = prepare(path, FORM, LIMITS)
    assert isinstance(outcome, Refusal)
    return outcome


def test_a_film_becomes_an_input(tmp_path: Path) -> None:
    picture = make_picture(300, 200)
    path = make_film(tmp_path / "film.dcm", picture, SOPInstanceUID="1.2.3.4")
    outcome = prepare(path, FORM, LIMITS)
    assert isinstance(outcome, Prepared)
    assert outcome.input.shape == (64, 64)
    assert outcome.input.dtype == np.uint8
    assert (outcome.rows, outcome.columns) == (300, 200)
    assert outcome.sop_instance_uid == "1.2.3.4"
    assert outcome.letterbox.to_image(*outcome.letterbox.to_input(0, 0, 200, 300)) == pytest.approx(
        (0, 0, 200, 300)
    )
    middle = cv2.resize(picture, (43, 64), interpolation=cv2.INTER_AREA)
    assert np.array_equal(outcome.input[:, 10:53], middle)


def test_pixels_that_are_not_square_become_so(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", make_picture(200, 200), PixelSpacing=[0.2, 0.1])
    outcome = prepare(path, FORM, LIMITS)
    assert isinstance(outcome, Prepared)
    assert outcome.letterbox.scale_y == 2 * outcome.letterbox.scale_x
    assert not outcome.input[:, :16].any()
    assert not outcome.input[:, 48:].any()
    assert (outcome.rows, outcome.columns) == (200, 200)


def test_the_display_has_the_films_own_geometry(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.dcm", make_picture(200, 300), PixelSpacing=[0.2, 0.1])
    header, display = load_display(path, 1_000_000)
    assert display.shape == (200, 300)
    assert header.PatientID == "CANARY-1"


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"ViewPosition": "LL"}, RefusalCode.VIEW),
        ({"PatientAge": "003Y"}, RefusalCode.AGE),
        ({"BodyPartExamined": "HAND"}, RefusalCode.BODY_PART),
        ({"Rows": 60_000, "Columns": 60_000}, RefusalCode.TOO_LARGE),
        ({"Rows": 257}, RefusalCode.UNDECODABLE),
        ({"PhotometricInterpretation": "HSV"}, RefusalCode.UNSUPPORTED),
        ({"PixelData": bytes(256 * 240)}, RefusalCode.NOT_A_CHEST),
        ({"PixelData": None}, RefusalCode.NO_PIXELS),
    ],
)
def test_every_stage_can_refuse(
    tmp_path: Path, elements: dict[str, Any], code: RefusalCode
) -> None:
    refusal = refused(make_film(tmp_path / "film.dcm", **elements))
    assert refusal.code is code
    assert refusal.reason.endswith(".")


def test_the_header_is_judged_before_the_pixels_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr("inference.prepare.decode", decoded)
    path = make_film(tmp_path / "film.dcm", ViewPosition="LL", PixelData=b"\0\0")
    assert refused(path).code is RefusalCode.VIEW


def test_an_unexpected_error_of_a_decoder_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise IndexError("Canary^Patient")

    monkeypatch.setattr("inference.prepare.display_image", broken)
    refusal = refused(make_film(tmp_path / "film.dcm"))
    assert refusal.code is RefusalCode.UNDECODABLE
    assert "Canary" not in refusal.reason


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 5. GiB for an array"),
        RuntimeError("Unknown error code '-2048' returned from Decode(): Out of free memory"),
    ],
    ids=["Python", "NumPy", "libjpeg"],
)
def test_a_decoder_that_runs_out_of_memory_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """pydicom passes on no more than the text of what a decoder raised."""

    def starved(*_: object, **__: object) -> None:
        raise error

    path = make_film(tmp_path / "film.dcm", syntax=JPEG2000Lossless)
    prepare(path, FORM, LIMITS)  # pydicom knows its decoders from now on
    for decoders in pylibjpeg._DECODERS.values():
        for name in decoders:
            monkeypatch.setitem(decoders, name, starved)
    assert refused(path).reason.endswith("needs more memory than is allowed.")


def test_a_fault_of_the_disk_is_not_the_films(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        prepare(tmp_path / "none.dcm", FORM, LIMITS)
    with pytest.raises(IsADirectoryError):
        prepare(tmp_path, FORM, LIMITS)


def test_preparing_and_showing_work_in_a_child(tmp_path: Path, pool: IsolatedPool) -> None:
    path = make_film(tmp_path / "film.dcm", syntax=JPEGBaseline8Bit)
    there = pool.submit(prepare, path, FORM, LIMITS).result(30)
    here = prepare(path, FORM, LIMITS)
    assert isinstance(there, Prepared)
    assert isinstance(here, Prepared)
    assert np.array_equal(there.input, here.input)
    assert there.letterbox == here.letterbox
    header, display = pool.submit(load_display, path, 1_000_000).result(30)
    assert header.PatientID == "CANARY-1"
    assert np.array_equal(display, load_display(path, 1_000_000)[1])


def test_a_refusal_to_show_comes_out_of_a_child(tmp_path: Path, pool: IsolatedPool) -> None:
    path = make_film(tmp_path / "film.dcm", Rows=257)
    with pytest.raises((RefusedError, RuntimeError), match="cut off"):
        pool.submit(load_display, path, 1_000_000).result(30)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_mutated_files_become_inputs_or_refusals(
    tmp_path: Path, pool: IsolatedPool, syntax: UID
) -> None:
    """Seeded damage anywhere in the file; a decoder that crashes is caught by its process."""
    whole = make_film(tmp_path / "film.dcm", syntax=syntax).read_bytes()
    damage = random.Random(syntax)
    outcomes = []
    for number in range(60):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(_damaged(whole, damage))
        outcomes.append(pool.submit(prepare, path, FORM, LIMITS))
    kinds = Counter(_kind(outcome.exception(60) or outcome.result()) for outcome in outcomes)
    assert kinds["prepared"] + kinds["refused"] + kinds["child failed"] == 60, kinds
    assert kinds["refused"] >= 5
    assert pool.submit(os.getpid).result(30)


def _damaged(whole: bytes, damage: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(damage.choice((1, 3, 10, 100))):
        # Headers are a small part of a file, so they get half of the damage.
        end = damage.choice((1200, len(data)))
        data[damage.randrange(min(end, len(data)))] = damage.randrange(256)
    return (
        bytes(data[: damage.randrange(len(data) // 2, len(data))])
        if damage.random() < 0.2
        else bytes(data)
    )


def _kind(outcome: object) -> str:
    if isinstance(outcome, Prepared):
        return "prepared"
    if isinstance(outcome, Refusal):
        assert "anary" not in outcome.reason.lower()
        return "refused"
    if isinstance(outcome, ChildFailedError):
        return "child failed"
    return repr(outcome)


def test_all_real_hostile_files_are_refused(real_data: Path, pool: IsolatedPool) -> None:
    """None is a film; none harms its process."""
    files = sorted((real_data / "dicom_hostile").glob("*.dcm"))
    assert len(files) == 49
    outcomes = {path.name: pool.submit(prepare, path, FORM, LIMITS) for path in files}
    for name, outcome in outcomes.items():
        assert isinstance(outcome.result(60), Refusal), name


def test_every_real_rsna_film_is_prepared(real_data: Path, pool: IsolatedPool) -> None:
    anyone = Limits(max_pixels=4_000_000, eligibility=Eligibility(min_age_years=0))
    films = sorted((real_data / "rsna_mini").glob("stage_2_t*_images/*.dcm"))
    outcomes = [pool.submit(prepare, path, InputForm(512), anyone) for path in films]
    assert all(isinstance(outcome.result(60), Prepared) for outcome in outcomes)


def test_a_film_just_prepared_is_not_decoded_again_unless_its_file_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_film(tmp_path / "film.dcm", make_picture(300, 200))
    assert isinstance(prepare(path, FORM, LIMITS), Prepared)
    shown = load_display(path, 1_000_000)[1]
    with monkeypatch.context() as patched:
        patched.setattr("inference.prepare.load_display", None)
        again = display_again(path, 1_000_000)
    assert np.array_equal(again, shown)
    with pytest.raises(ValueError, match="read-only"):
        again[0, 0] = 1
    make_film(path, make_picture(320, 200))
    assert display_again(path, 1_000_000).shape == (320, 200)


def test_what_is_remembered_has_a_limit(tmp_path: Path) -> None:
    recent = _Recent(250)
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(b"")
        recent.keep(path, np.zeros((10, 10), np.uint8))
    assert [recent.find(path) is not None for path in paths] == [False, True, True]
    recent.keep(paths[0], np.zeros((16, 16), np.uint8))
    assert recent.find(paths[0]) is None
