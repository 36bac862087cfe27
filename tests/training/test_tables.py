"""Data folders are read as they are, and what does not fit together is named."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from training.tables import LUNG_OPACITY, NORMAL, NOT_NORMAL, TableError, read_kaggle, read_nih

DATA = Path(os.environ.get("HILUM_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stage_2_train_images").mkdir()
    for name in "abc":
        (tmp_path / "stage_2_train_images" / f"{name}.dcm").touch()
    (tmp_path / "stage_2_detailed_class_info.csv").write_text(
        "patientId,class\nb,Lung Opacity\nb,Lung Opacity\na,Normal\n"
        "c,No Lung Opacity / Not Normal\n"
    )
    # The class file and the label file repeat a film for each of its boxes.
    (tmp_path / "stage_2_train_labels.csv").write_text(
        "patientId,x,y,width,height,Target\na,,,,,0\nb,50,60,7,8,1\nb,1.5,2,3,4,1\nc,,,,,0\n"
    )
    return tmp_path


def test_a_film_is_one_row_with_all_its_boxes(folder: Path) -> None:
    films = read_kaggle(folder)
    assert [film.id for film in films] == ["a", "b", "c"]
    assert [film.label for film in films] == [NORMAL, LUNG_OPACITY, NOT_NORMAL]
    assert [film.boxes for film in films] == [(), ((1.5, 2, 3, 4), (50, 60, 7, 8)), ()]
    assert [film.patient for film in films] == ["a", "b", "c"]


def test_nih_patients_join_films(folder: Path) -> None:
    (folder / "nih_patients.csv").write_text(
        "patientId,nih_image,nih_patient\na,1_0.png,1\nc,1_5.png,1\n"
    )
    assert [film.patient for film in read_kaggle(folder)] == ["1", "b", "1"]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("stage_2_detailed_class_info.csv", None, "cannot be read"),
        ("stage_2_detailed_class_info.csv", "patientId,klass\na,Normal\n", "column 'class'"),
        ("stage_2_detailed_class_info.csv", "patientId,class\na,Healthy\n", "unknown class"),
        (
            "stage_2_train_labels.csv",
            "patientId,x,y,width,height,Target\na,,,,,0\n",
            "not those of the class file",
        ),
        (
            "stage_2_train_labels.csv",
            "patientId,x,y,width,height,Target\na,1,1,1,1,1\nb,1,1,1,1,1\nc,,,,,0\n",
            "class and boxes disagree",
        ),
        ("stage_2_train_images/b.dcm", None, "not in the folder"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    folder: Path, file: str, text: str | None, said: str
) -> None:
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(TableError, match=said):
        read_kaggle(folder)


def test_nih_labels_become_classes_and_unknown_boxes_stay_unknown(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in "abcd":
        (tmp_path / "images" / f"{name}.jpg").touch()
    (tmp_path / "labels.csv").write_text(
        "image,finding_labels,pneumonia,patient,age,sex,view,boxes_xywh\n"
        "a.jpg,No Finding,0,1,50,F,PA,\n"
        "b.jpg,Pneumonia,1,2,50,F,PA,\n"
        'c.jpg,Mass|Pneumonia,1,3,50,F,AP,"[[""Mass"",9,9,9,9],[""Pneumonia"",1,2,3,4]]"\n'
        "d.jpg,Mass,0,3,50,F,AP,\n"
    )
    films = read_nih(tmp_path)
    assert [f.label for f in films] == [NORMAL, LUNG_OPACITY, LUNG_OPACITY, NOT_NORMAL]
    assert [f.boxes for f in films] == [(), None, ((1, 2, 3, 4),), None]


@pytest.mark.skipif(not (DATA / "rsna_mini").is_dir(), reason=f"no real films in {DATA}")
def test_the_small_real_folder_has_the_classes_it_should() -> None:
    counts = Counter(film.label for film in read_kaggle(DATA / "rsna_mini"))
    assert counts == {LUNG_OPACITY: 90, NOT_NORMAL: 96, NORMAL: 56}
