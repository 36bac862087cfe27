"""Phantoms are what they say they are, and valid DICOM."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pydicom import dcmread

from inference.prepare import load_display
from training.phantoms import Kind, Modality, phantom, write_phantom_dicom

KINDS: tuple[Kind, ...] = get_args(Kind)
MODALITIES: tuple[Modality, ...] = get_args(Modality)


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_film(kind: Kind) -> None:
    one, other = (phantom(seeded(3), kind=kind, size=128) for _ in "ab")
    assert (one.image == other.image).all()
    assert (one.boxes, one.view) == (other.boxes, other.view)
    assert (one.image != phantom(seeded(4), kind=kind, size=128).image).any()


@pytest.mark.parametrize("seed", range(12))
def test_an_opacity_is_brighter_than_the_lung_it_lies_in(seed: int) -> None:
    film = phantom(seeded(seed), kind="opacity", size=512)
    assert 1 <= len(film.boxes) <= 2
    for x, y, width, height in film.boxes:
        assert x >= 0 <= y
        assert x + width <= 512 >= y + height
        assert width > 20 < height
    # The same seed draws the same chest with and without opacity up to the first chance that
    # differs, so compare within the film: the box's middle against all aerated lung.
    x, y, width, height = film.boxes[0]
    middle = film.image[int(y + height * 0.4) : int(y + height * 0.6) + 1]
    middle = middle[:, int(x + width * 0.4) : int(x + width * 0.6) + 1]
    chest = film.image[100:350, 60:450]
    assert middle.mean() > np.percentile(chest, 25) + 10


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "opacity"])
def test_other_kinds_have_no_boxes(kind: Kind) -> None:
    assert phantom(seeded(0), kind=kind, size=128).boxes == ()


def test_views_are_what_was_asked_or_what_the_kind_says() -> None:
    assert phantom(seeded(0), kind="normal", size=64, view="AP").view == "AP"
    assert phantom(seeded(0), kind="normal", size=64, view="PA").view == "PA"
    assert phantom(seeded(0), kind="lateral", size=64).view == "LL"
    assert phantom(seeded(0), kind="not_chest", size=64).view == ""


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("kind", KINDS)
def test_files_are_valid_dicom(tmp_path: Path, kind: Kind, modality: Modality) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    path = tmp_path / "film.dcm"
    film = phantom(seeded(1), kind=kind, size=64)
    for monochrome1 in (False, True):
        write_phantom_dicom(film, path, modality=modality, monochrome1=monochrome1)
        done = subprocess.run(
            ["dciodvfy", "-new", path], capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "Error" not in said


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_file_shows_the_film_that_was_drawn(
    tmp_path: Path, modality: Modality, monochrome1: bool, bits: int
) -> None:
    film = phantom(seeded(1), kind="opacity", size=128)
    path = tmp_path / "film.dcm"
    write_phantom_dicom(film, path, modality=modality, monochrome1=monochrome1, bits=bits)
    header, shown = load_display(path, 1_000_000)
    assert header.BitsStored == bits
    assert shown.shape == (128, 128)
    away = np.abs(shown.astype(int) - film.image.astype(int))
    # A film without a window (SC) is shown by the reader's own one, which may stretch contrast.
    if modality != "SC":
        assert away.max() <= 2
    assert np.corrcoef(shown.ravel(), film.image.ravel())[0, 1] > 0.99


def test_the_same_call_writes_the_same_bytes_and_another_film_other_uids(tmp_path: Path) -> None:
    film = phantom(seeded(1), kind="opacity", size=64)
    write_phantom_dicom(film, tmp_path / "a.dcm", number=2)
    write_phantom_dicom(film, tmp_path / "b.dcm", number=2)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()

    write_phantom_dicom(film, tmp_path / "c.dcm", number=3)
    write_phantom_dicom(phantom(seeded(2), kind="opacity", size=64), tmp_path / "d.dcm", number=2)
    a, c, d = (dcmread(tmp_path / f"{name}.dcm") for name in "acd")
    assert len({a.SOPInstanceUID, c.SOPInstanceUID, d.SOPInstanceUID}) == 3
    assert a.StudyInstanceUID == d.StudyInstanceUID != c.StudyInstanceUID
    assert (str(a.PatientName), a.PatientID) == ("Phantom^Two", "PHANTOM-0002")


def test_a_wrong_depth_is_refused(tmp_path: Path) -> None:
    film = phantom(seeded(1), kind="normal", size=64)
    with pytest.raises(ValueError, match="bits must be 8 to 16, not 17"):
        write_phantom_dicom(film, tmp_path / "film.dcm", bits=17)


def test_phantoms_need_no_tensorflow() -> None:
    code = "import sys, training.phantoms; print({'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
