"""What is wrong with a Kaggle folder is found, counted and told; what is right is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from commands.data import check_data
from commands.problem import ProblemError
from tests.training.kaggle.folders import EMPTY, Folder, film_name, make_folder, write_film
from training.kaggle.check import FULL_SET, Counts, check, count
from training.kaggle.folder import open_folder
from training.kaggle.problem import Problem, Severity


def errors(folder: Folder, *, pixels: bool = False) -> list[Problem]:
    found = check(open_folder(folder.write()), pixels=pixels, processes=1)
    return [problem for problem in found if problem.severity is Severity.ERROR]


def film_gone(folder: Folder) -> None:
    (folder.train / f"{film_name(0)}.dcm").unlink()


def film_more(folder: Folder) -> None:
    write_film(folder.train / "more.dcm", seed=77)


def film_in_both(folder: Folder) -> None:
    write_film(folder.test / f"{film_name(0)}.dcm", seed=0)
    folder.submission.append((film_name(0), ""))


def film_twice(folder: Folder) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder.train / f"{film_name(0)}.jpg")


def class_gone(folder: Folder) -> None:
    folder.classes = [row for row in folder.classes if row[0] != film_name(0)]


def class_more(folder: Folder) -> None:
    folder.classes.append(("nobody", "Normal"))


def class_unknown(folder: Folder) -> None:
    folder.classes[0] = (film_name(0), "Perhaps")


def class_second(folder: Folder) -> None:
    folder.classes.append((film_name(0), "No Lung Opacity / Not Normal"))


def class_against_target(folder: Folder) -> None:
    folder.classes[0] = (film_name(0), "Lung Opacity")


def row_twice(folder: Folder) -> None:
    folder.labels.append(folder.labels[-1])


def target_two(folder: Folder) -> None:
    folder.labels[0] = (film_name(0), "", "", "", "", "2")


def positive_without_box(folder: Folder) -> None:
    folder.labels[2] = (film_name(2), "", "", "", "", "1")


def negative_with_box(folder: Folder) -> None:
    folder.labels[0] = (film_name(0), "1", "1", "9", "9", "0")


def both_targets(folder: Folder) -> None:
    folder.labels.append((film_name(2), *EMPTY))


def box_outside(folder: Folder) -> None:
    folder.labels[2] = (film_name(2), "1000", "0", "30", "30", "1")


def box_without_extent(folder: Folder) -> None:
    folder.labels[2] = (film_name(2), "10", "10", "0", "30", "1")


def film_of_the_test_gone(folder: Folder) -> None:
    (folder.test / "test-0000.dcm").unlink()


def sample_row_gone(folder: Folder) -> None:
    folder.submission.pop()


def sample_row_twice(folder: Folder) -> None:
    folder.submission.append(folder.submission[0])


BROKEN: list[tuple[Callable[[Folder], None], str]] = [
    (film_gone, "label rows whose film is missing"),
    (film_more, "films without a label row"),
    (film_in_both, "films that are in the training and in the test folder"),
    (film_twice, "films that stand there in two formats"),
    (class_gone, "labelled films without a class"),
    (class_more, "classes of films without a label"),
    (class_unknown, "classes other than"),
    (class_second, "films with two classes"),
    (class_against_target, "films whose class and Target disagree"),
    (row_twice, "label rows that stand there more than once"),
    (target_two, "rows whose Target is neither 0 nor 1"),
    (positive_without_box, "rows with Target 1 and no box"),
    (negative_with_box, "rows with a box and Target 0"),
    (both_targets, "films with Target 1 in one row and 0 in another"),
    (box_outside, "boxes that reach outside their film"),
    (box_without_extent, "boxes without an extent"),
    (film_of_the_test_gone, "films of the sample submission without an image"),
    (sample_row_gone, "test films that are not in the sample submission"),
    (sample_row_twice, "films twice in the sample"),
]


@pytest.mark.parametrize(
    ("break_it", "what"), BROKEN, ids=lambda each: getattr(each, "__name__", "")
)
def test_what_is_wrong_is_found_and_nothing_else(
    tmp_path: Path, break_it: Callable[[Folder], None], what: str
) -> None:
    folder = make_folder(tmp_path / "made")
    break_it(folder)
    found = errors(folder)
    assert [problem.what[: len(what)] for problem in found] == [what]
    assert found[0].count == 1
    assert found[0].advice
    assert len(found[0].examples) == 1


def test_a_sound_part_of_the_set_is_noted_and_nothing_else(tmp_path: Path) -> None:
    folder = open_folder(make_folder(tmp_path / "made").path)
    assert count(folder) == Counts(9, 10, 4, 3, 2)
    found = check(folder, pixels=False)
    assert [problem.severity for problem in found] == [Severity.NOTE]
    assert "a part of the set, 9 of 26,684" in found[0].what


def test_the_complete_set_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = open_folder(make_folder(tmp_path / "made").path)
    monkeypatch.setattr("training.kaggle.check.FULL_SET", count(folder))
    assert [each.what for each in check(folder, pixels=False)] == ["this is the complete set"]


def test_the_complete_set_with_other_counts_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder(make_folder(tmp_path / "made").path)
    monkeypatch.setattr("training.kaggle.check.FULL_SET", Counts(9, 10, 5, 3, 3000))
    found = [each for each in check(folder, pixels=False) if each.severity is Severity.ERROR]
    assert [each.what for each in found] == [
        "boxes: 4 found, 5 in the complete set",
        "test films: 2 found, 3,000 in the complete set",
    ]
    assert Counts(26_684, 30_227, 9_555, 6_012, 3_000) == FULL_SET


def test_missing_images_of_the_complete_label_file_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_folder(tmp_path / "made")
    monkeypatch.setattr("training.kaggle.check.FULL_SET", count(open_folder(made.path)))
    film_gone(made)
    assert [each.what for each in errors(made)] == [
        "films: 8 found, 9 in the complete set",
        "label rows whose film is missing",
    ]


def test_every_file_is_decoded(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made")
    cut = made.train / f"{film_name(1)}.dcm"
    cut.write_bytes(cut.read_bytes()[:-100])
    (made.train / f"{film_name(3)}.dcm").write_bytes(b"<html>not found</html>")
    write_film(made.train / f"{film_name(4)}.dcm", seed=4, patient_id=film_name(7))
    # The first positive film once more, under the name of a negative one.
    write_film(made.train / f"{film_name(0)}.dcm", seed=2)
    found = {problem.what: problem for problem in errors(made, pixels=True)}
    unreadable = [what for what in found if what.startswith("films that cannot be read")]
    assert {found[what].examples for what in unreadable} == {
        (f"{film_name(1)}.dcm",),
        (f"{film_name(3)}.dcm",),
    }
    swapped = found["films whose Patient ID is not their file name"]
    assert swapped.examples == (f"{film_name(4)}.dcm",)
    same = found["groups of films with the same pixels and different targets"]
    assert same.count == 1
    assert len(found) == 4


def test_jpeg_films_are_decoded_too(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made", films=3)
    for number, file in enumerate(sorted(made.train.iterdir())):
        grey = np.full((64, 64), 40 * number, np.uint8)
        Image.fromarray(grey).save(file.with_suffix(".jpg"))
        file.unlink()
    cut = made.train / f"{film_name(1)}.jpg"
    cut.write_bytes(cut.read_bytes()[:-60])
    found = errors(made, pixels=True)
    assert [problem.examples for problem in found] == [(cut.name,)]


def test_the_command_prints_counts_and_problems_and_says_good_or_bad(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "made", films=3)
    console = Console(record=True, width=120, quiet=False, file=(tmp_path / "log").open("w"))
    assert check_data(made.path, console)
    said = console.export_text()
    assert "Nothing is wrong" in said
    assert "26,684" in said
    film_gone(made)
    assert not check_data(made.path, console)
    said = console.export_text()
    assert "label rows whose film is missing" in said
    assert "1 kind of error" in said
    console.file.close()


def test_the_command_says_in_one_sentence_that_it_is_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="not found, neither there nor one level below"):
        check_data(tmp_path, Console(quiet=True))


def test_the_real_small_set_is_sound(real_data: Path) -> None:
    found = check(open_folder(real_data / "rsna_mini"))
    assert [problem.severity for problem in found] == [Severity.NOTE]
