"""Films are decoded once, into a file that holds only what was asked for."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from experiments_kaggle import write_folder
from pydicom import dcmread

from training.experiments.decoded import np_resized, open_decoded, picture
from training.experiments.selection import DataError
from training.kaggle.folder import open_folder
from training.tables import Film


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Film]:
    return open_folder(write_folder(tmp_path_factory.mktemp("kaggle"), 8, side=96)).films()


def every(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64)


def test_a_picture_is_the_film_scaled_down(films: list[Film]) -> None:
    pixels = dcmread(films[0].path).pixel_array
    assert (picture(films[0].path, 96, "dicom") == pixels).all()
    scaled = cv2.resize(pixels, (48, 48), interpolation=cv2.INTER_AREA)
    assert (picture(films[0].path, 48, "dicom") == scaled).all()


def test_by_way_of_jpeg_a_film_loses_a_little(films: list[Film]) -> None:
    straight = picture(films[0].path, 96, "dicom").astype(int)
    by_jpeg = picture(films[0].path, 96, "jpeg").astype(int)
    difference = np.abs(straight - by_jpeg)
    assert 0 < difference.mean() < 3


def test_jpeg_files_are_read_and_never_taken_for_dicom(tmp_path: Path, films: list[Film]) -> None:
    file = tmp_path / "film.JPG"
    cv2.imwrite(str(file), dcmread(films[0].path).pixel_array)
    assert (
        np.abs(picture(file, 96, "jpeg").astype(int) - picture(films[0].path, 96, "jpeg")).max()
        == 0
    )
    with pytest.raises(DataError, match="this experiment reads DICOM"):
        picture(file, 96, "dicom")
    file.write_bytes(b"no picture")
    with pytest.raises(DataError, match="no readable JPEG"):
        picture(file, 96, "jpeg")


def test_films_are_decoded_once_and_read_in_any_order(films: list[Film], tmp_path: Path) -> None:
    decoded = open_decoded(films, 32, "dicom", tmp_path)
    told: list[tuple[int, int]] = []
    first = np.array([5, 1, 1], np.int64)
    assert decoded.ensure(first, watch=lambda done, total: told.append((done, total))) == 2
    assert told == [(2, 2)]
    again = open_decoded(films, 32, "dicom", tmp_path)
    assert again.ensure(first) == 0
    assert again.ensure(every(8)) == 6
    found = again.read(np.array([3, 0, 3], np.int64))
    for made, k in zip(found, (3, 0, 3), strict=True):
        assert (made == picture(films[k].path, 32, "dicom")).all()


def test_the_file_holds_no_more_than_the_pictures_made(films: list[Film], tmp_path: Path) -> None:
    many = films * 500
    decoded = open_decoded(many, 256, "dicom", tmp_path)
    decoded.ensure(np.array([3999, 7], np.int64))
    stat = decoded.pixels.stat()
    assert stat.st_size == len(many) * 256 * 256
    assert stat.st_blocks * 512 < 20 * 256 * 256
    assert (
        decoded.read(np.array([3999], np.int64))[0] == picture(films[7].path, 256, "dicom")
    ).all()


def test_another_size_source_or_changed_film_has_a_file_of_its_own(
    films: list[Film], tmp_path: Path
) -> None:
    files = {open_decoded(films, 32, "dicom", tmp_path).pixels}
    files.add(open_decoded(films, 48, "dicom", tmp_path).pixels)
    files.add(open_decoded(films, 32, "jpeg", tmp_path).pixels)
    files.add(open_decoded(films[:-1], 32, "dicom", tmp_path).pixels)
    assert open_decoded(films, 32, "dicom", tmp_path).pixels in files
    stat = films[0].path.stat()
    os.utime(films[0].path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    files.add(open_decoded(films, 32, "dicom", tmp_path).pixels)
    assert len(files) == 5


def test_a_picture_counts_as_made_only_after_it_is_on_disk(
    films: list[Film], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = open_decoded(films, 32, "dicom", tmp_path)

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", killed)
        with pytest.raises(KeyboardInterrupt):
            decoded.ensure(every(3))
    assert decoded.ensure(every(3)) == 3


def test_films_that_cannot_be_decoded_are_counted_and_the_others_kept(tmp_path: Path) -> None:
    films = open_folder(write_folder(tmp_path / "kaggle", 4, side=32)).films()
    films[1].path.write_bytes(b"no film")
    decoded = open_decoded(films, 16, "dicom", tmp_path / "cache")
    films[2].path.unlink()
    with pytest.raises(
        DataError, match=r"^2 films cannot be decoded, the first because: "
    ) as raised:
        decoded.ensure(every(4))
    assert "film0001" not in str(raised.value)
    assert decoded.ensure(np.array([0, 3], np.int64)) == 0


def test_a_file_that_was_cut_off_is_told(films: list[Film], tmp_path: Path) -> None:
    decoded = open_decoded(films, 32, "dicom", tmp_path)
    decoded.ensure(every(8))
    os.truncate(decoded.pixels, 7 * 32 * 32 + 5)
    with pytest.raises(DataError, match="cut off; delete it"):
        decoded.read(np.array([7], np.int64))


@pytest.mark.parametrize(("side", "size"), [(14, 8), (8, 14), (9, 9)])
def test_np_resized_is_what_np_resize_makes_of_the_whole_array(side: int, size: int) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (11, side, side), np.uint8)
    read: list[int] = []

    def reader(which: np.ndarray) -> np.ndarray:
        read.append(len(which))
        return pictures[which]

    expected = np.resize(pictures, (11, size, size))
    which = np.array([10, 0, 4], np.int64)
    assert (np_resized(reader, 11, side, size, which) == expected[which]).all()
    assert max(read) <= (size / side) ** 2 + 2
    # The report's array had three channels, which makes no difference to a grey picture.
    colour = np.resize(np.repeat(pictures[..., None], 3, axis=3), (11, size, size, 3))
    assert (colour[..., 1] == expected).all()


def test_np_resize_parts_pictures_from_their_labels() -> None:
    pictures = np.repeat(np.arange(100, dtype=np.uint8), 14 * 14).reshape(100, 14, 14)
    found = np_resized(lambda which: pictures[which], 100, 14, 8, every(100))
    seen = found.reshape(100, -1).mean(axis=1)
    assert seen == pytest.approx(0.3265 * np.arange(100), abs=1)
