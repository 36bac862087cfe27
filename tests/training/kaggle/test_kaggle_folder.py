"""The Kaggle folder is found however it was saved, and what is missing or damaged is named."""

from __future__ import annotations

import gzip
import shutil
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.kaggle.folders import EMPTY, film_name, make_folder
from training.kaggle.csvs import FolderError
from training.kaggle.folder import KaggleFolder, open_folder
from training.tables import LUNG_OPACITY


def as_saved(folder: Path, there: Path) -> Path:
    shutil.copytree(folder, there)
    return there


def one_level_below(folder: Path, there: Path) -> Path:
    shutil.copytree(folder, there / "rsna-pneumonia-detection-challenge")
    return there


def images_zipped(folder: Path, there: Path) -> Path:
    shutil.copytree(folder, there)
    for part in ("stage_2_train_images", "stage_2_test_images"):
        with zipfile.ZipFile(there / f"{part}.zip", "w") as archive:
            for file in sorted((there / part).iterdir()):
                archive.write(file, file.name)
        shutil.rmtree(there / part)
    return there


def images_in_a_folder_of_their_own(folder: Path, there: Path) -> Path:
    shutil.copytree(folder, there)
    for part in ("stage_2_train_images", "stage_2_test_images"):
        (there / part).rename(there / "moved")
        (there / part).mkdir()
        (there / "moved").rename(there / part / part)
    return there


def tables_zipped(folder: Path, there: Path) -> Path:
    shutil.copytree(folder, there)
    for file in list(there.glob("*.csv")):
        with zipfile.ZipFile(f"{file}.zip", "w") as archive:
            archive.write(file, file.name)
        file.unlink()
    return there


def tables_zipped_under_their_plain_name(folder: Path, there: Path) -> Path:
    tables_zipped(folder, there)
    for file in there.glob("*.csv.zip"):
        file.rename(file.with_suffix(""))
    return there


def tables_gzipped(folder: Path, there: Path) -> Path:
    shutil.copytree(folder, there)
    for file in list(there.glob("*.csv")):
        Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    return there


def whole_download(folder: Path, there: Path) -> Path:
    there.mkdir()
    with zipfile.ZipFile(there / "rsna-pneumonia-detection-challenge.zip", "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return there


def the_download_itself(folder: Path, there: Path) -> Path:
    return whole_download(folder, there) / "rsna-pneumonia-detection-challenge.zip"


WAYS = [
    as_saved,
    one_level_below,
    images_zipped,
    images_in_a_folder_of_their_own,
    tables_zipped,
    tables_zipped_under_their_plain_name,
    tables_gzipped,
    whole_download,
    the_download_itself,
]


@pytest.mark.parametrize("way", WAYS)
def test_a_folder_is_the_same_however_it_was_saved(
    tmp_path: Path, way: Callable[[Path, Path], Path]
) -> None:
    made = make_folder(tmp_path / "made")
    found = open_folder(way(made.path, tmp_path / "there"))
    assert list(found.train_images) == [film_name(number) for number in range(9)]
    assert list(found.test_images) == ["test-0000", "test-0001"]
    for name, path in found.train_images.items():
        assert path.read_bytes() == (made.train / f"{name}.dcm").read_bytes()
    assert [row.patient_id for row in found.labels] == [row[0] for row in made.labels]
    assert found.classes == dict(made.classes)
    assert found.sample_submission is not None
    assert found.sample_submission.is_file()


def test_rows_and_films_say_what_the_files_say(tmp_path: Path) -> None:
    found = open_folder(make_folder(tmp_path / "made").path)
    assert found.labels[0].box is None
    assert found.boxes()[film_name(5)] == ((5, 6, 20, 30), (34, 6, 20, 30))
    assert found.boxes()[film_name(2)] == ((5, 6, 20, 30),)
    assert found.targets() == {film_name(n): int(n % 3 == 2) for n in range(9)}
    films = found.films()
    assert [film.label == LUNG_OPACITY for film in films] == [n % 3 == 2 for n in range(9)]
    assert films[5].boxes == ((5, 6, 20, 30), (34, 6, 20, 30))


def test_the_nih_patients_are_read_where_they_are_told(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made")
    (made.path / "nih_patients.csv").write_text(f"patientId,nih_patient\n{film_name(1)},00000007\n")
    patients = [film.patient for film in open_folder(made.path).films()]
    assert patients[:3] == [film_name(0), "00000007", film_name(2)]


def test_jpeg_images_are_found(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made")
    for file in list(made.train.iterdir()):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(file.with_suffix(".jpg"))
        file.unlink()
    assert {path.suffix for path in open_folder(made.path).train_images.values()} == {".jpg"}


def test_all_that_is_missing_is_named(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made")
    shutil.rmtree(made.train)
    (made.path / "stage_2_detailed_class_info.csv").unlink()
    with pytest.raises(FolderError) as raised:
        open_folder(made.path)
    assert "stage_2_train_images" in str(raised.value)
    assert "stage_2_detailed_class_info.csv" in str(raised.value)
    assert "stage_2_train_labels" not in str(raised.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="nowhere: there is no such folder"):
        open_folder(tmp_path / "nowhere")


def test_test_images_and_sample_may_be_missing(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made")
    shutil.rmtree(made.test)
    (made.path / "stage_2_sample_submission.csv").unlink()
    found = open_folder(made.path)
    assert found.test_images == {}
    assert found.sample_submission is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("film-0000", "ten", "", "", "", "1"), "line 11: a number is needed"),
        (("film-0000", "1", "2", "", "", "1"), "line 11: a whole Target and all or none"),
        (("film-0000", "", "", "", "", "0.5"), "line 11: a whole Target"),
        (("film-0000", "", "", "", ""), "line 11: 6 values are needed"),
        (("film-0000", "", "", "", "", "0", "more"), "line 11: 6 values are needed"),
    ],
)
def test_a_row_that_is_no_label_is_named_by_its_line(
    tmp_path: Path, row: tuple[str, ...], said: str
) -> None:
    made = make_folder(tmp_path / "made", films=8)
    made.labels.append(row)
    assert len(made.labels) == 10  # nine rows of eight films, then this one on line 11
    made.write()
    with pytest.raises(FolderError, match=said):
        open_folder(made.path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made")
    (made.path / "stage_2_train_labels.csv").write_text("patientId,x,y,width,height\na,,,,\n")
    with pytest.raises(FolderError, match="no column 'Target'"):
        open_folder(made.path)


def test_a_cut_off_zip_is_told_and_can_be_replaced(tmp_path: Path) -> None:
    there = images_zipped(make_folder(tmp_path / "made").path, tmp_path / "there")
    archive = there / "stage_2_train_images.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FolderError, match=r"damaged or cut off.*download it again"):
        open_folder(there)
    archive.write_bytes(whole)
    assert len(open_folder(there).train_images) == 9


def test_an_image_that_does_not_match_its_checksum_is_not_unpacked(tmp_path: Path) -> None:
    there = images_zipped(make_folder(tmp_path / "made").path, tmp_path / "there")
    archive = there / "stage_2_train_images.zip"
    damaged = bytearray(archive.read_bytes())
    damaged[2_000] ^= 0xFF  # a pixel of the first film
    archive.write_bytes(damaged)
    with pytest.raises(FolderError, match="damaged or cut off"):
        open_folder(there)
    assert not (there / "stage_2_train_images").exists()


class _KilledError(Exception):
    pass


def _open_until(there: Path, number: int) -> KaggleFolder:
    def progress(done: int, total: int) -> None:
        if done == number:
            raise _KilledError

    return open_folder(there, progress=progress)


def test_unpacking_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    there = images_zipped(make_folder(tmp_path / "made").path, tmp_path / "there")
    with pytest.raises(_KilledError):
        _open_until(there, 5)
    assert not (there / "stage_2_train_images").exists()
    growing = there / "stage_2_train_images.unpacking"
    first = growing / f"{film_name(0)}.dcm"
    assert len(list(growing.iterdir())) == 5
    node = first.stat().st_ino
    found = open_folder(there)
    assert len(found.train_images) == 9
    assert found.train_images[film_name(0)].stat().st_ino == node
    assert not growing.exists()


def test_what_is_unpacked_is_not_unpacked_again(tmp_path: Path) -> None:
    there = images_zipped(make_folder(tmp_path / "made").path, tmp_path / "there")
    open_folder(there)
    assert len(_open_until(there, 1).train_images) == 9


def test_images_are_unpacked_where_one_says(tmp_path: Path) -> None:
    there = images_zipped(make_folder(tmp_path / "made").path, tmp_path / "there")
    found = open_folder(there, unpack_to=tmp_path / "elsewhere")
    assert all(tmp_path / "elsewhere" in path.parents for path in found.train_images.values())
    assert sorted(path.name for path in there.iterdir() if path.is_dir()) == []


def test_nothing_is_unpacked_outside_its_folder(tmp_path: Path) -> None:
    there = images_zipped(make_folder(tmp_path / "made").path, tmp_path / "a" / "there")
    name = f"{uuid.uuid4()}.dcm"
    with zipfile.ZipFile(there / "stage_2_train_images.zip", "a") as archive:
        archive.writestr(f"../../{name}", b"evil")
        archive.writestr(f"/{name}", b"evil")
    assert len(open_folder(there).train_images) == 9
    assert list(tmp_path.rglob(name)) == []
    assert not Path("/", name).exists()


def test_tables_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made")
    for file in made.path.glob("*.csv"):
        file.write_text(file.read_text(), encoding="utf-8-sig")
    assert len(open_folder(made.path).films()) == 9


def test_a_film_is_positive_where_any_of_its_rows_is(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made")
    made.labels.append((film_name(2), *EMPTY))
    assert open_folder(made.write()).targets()[film_name(2)] == 1


def test_the_real_small_set_is_found(real_data: Path) -> None:
    found = open_folder(real_data / "rsna_mini")
    assert len(found.train_images) == len(found.films()) == 242
    assert len(found.test_images) == 30
    assert len(found.labels) == len(found.class_rows) == 297
    assert sum(found.targets().values()) == 90
    assert len(set(found.patients.values())) == 199
