"""The submission has every test film once, in the challenge's format, with boxes on the film."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.bundle import Bundle, load_bundle
from inference.reading import Box
from tests.training.results.made import boxed, labelled, run_folder
from training.kaggle.csvs import FolderError
from training.phantoms import phantom, write_phantom_dicom
from training.results import submission
from training.results.runs import RunError
from training.results.submission import (
    Predicted,
    check_submission,
    from_bundle,
    from_run,
    prediction_string,
    write_submission,
)

HEADER = "patientId,PredictionString\n"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    file = tmp_path / "sample.csv"
    file.write_text(HEADER + "a,0.5 0 0 100 100\nb,0.5 0 0 100 100\n")
    return file


def test_boxes_are_written_as_the_challenge_wants_them() -> None:
    boxes = [Box(264.04, 152, 213.5, 379, 0.91234567), Box(562, 152, 256, 453, 0.5)]
    assert prediction_string(boxes) == (
        "0.912346 264.0 152.0 213.5 379.0 0.500000 562.0 152.0 256.0 453.0"
    )
    assert prediction_string([]) == ""


def test_what_is_written_passes_the_check_and_rounding_moves_no_box_off(
    tmp_path: Path, sample: Path
) -> None:
    rng = np.random.default_rng(0)
    for round_ in range(20):
        x, y = rng.uniform(0, 1000, 2)
        box = Box(x, y, 1024 - x, 1024 - y, rng.random())
        out = tmp_path / "out" / f"{round_}.csv"
        write_submission(out, [Predicted("a", (box, box)), Predicted("b", ())])
        assert check_submission(out, sample) == []
        assert out.read_text().splitlines()[2] == "b,"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("a,\n", ["1 films of the sample are missing"]),
        ("a,\nb,\nc,\n", ["1 films are not in the sample"]),
        ("a,\nb,\na,\n", ["1 films stand there more than once"]),
        ("a,0.5 0 0 100\nb,\n", ["line 2: 4 values, which are not groups of five"]),
        ("a,\nb,0.5 0 0 100 wide\n", ["line 3: a value that is no number"]),
        ("a,\nb,0.5 0 0 100 inf\n", ["line 3: a value that is not finite"]),
        ("a,1.5 0 0 100 100\nb,\n", ["line 2: a confidence that is not from 0 to 1"]),
        ("a,0.5 0 0 0 100\nb,\n", ["line 2: a box without area"]),
        ("a,0.5 1000 0 25 100\nb,\n", ["line 2: a box that is not wholly on the 1024 x 1024 film"]),
        ("a,0.5 -1 0 25 100\nb,\n", ["line 2: a box that is not wholly on the 1024 x 1024 film"]),
        ("a,0.5 0 0 9 9 2 0 0 9 9\nb,\n", ["line 2: a confidence that is not from 0 to 1"]),
        ("a,\nb,\n", []),
        ("a,0.5 0 0 9 9 0.4 0 0 1024 1024\nb,\n", []),
    ],
)
def test_the_check_says_what_is_wrong(
    tmp_path: Path, sample: Path, body: str, says: list[str]
) -> None:
    file = tmp_path / "submission.csv"
    file.write_text(HEADER + body)
    assert check_submission(file, sample) == says


def test_the_header_must_be_the_challenges(tmp_path: Path, sample: Path) -> None:
    file = tmp_path / "submission.csv"
    file.write_text("PredictionString,patientId\n,a\n,b\n")
    assert check_submission(file, sample) == ["line 1: patientId,PredictionString is needed"]
    file.write_text("id,boxes\na,\nb,\n")
    (problem,) = check_submission(file, sample)
    assert "no column 'patientId'" in problem
    (problem,) = check_submission(tmp_path / "none.csv", sample)
    assert "none.csv" in problem


def test_a_sample_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text("")
    with pytest.raises(FolderError, match=r"sample\.csv"):
        check_submission(tmp_path / "sample.csv", tmp_path / "sample.csv")


def test_a_submission_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[Predicted]:
        yield Predicted("a", ())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_submission(tmp_path / "submission.csv", broken())
    assert not (tmp_path / "submission.csv").exists()


@pytest.fixture(scope="module")
def eager() -> Bundle:
    """The packaged bundle, but drawing what it holds most likely on every film."""
    bundle = load_bundle()
    points = {n: replace(p, threshold=0.0) for n, p in bundle.operating_points.items()}
    return replace(bundle, operating_points=points, boxes=replace(bundle.boxes, score=0.0))


def test_every_film_is_read_whatever_the_service_would_refuse(
    tmp_path: Path, eager: Bundle
) -> None:
    film = phantom(np.random.default_rng(0), kind="opacity", size=256)
    images = {name: tmp_path / f"{name}.dcm" for name in ("adult", "child", "broken")}
    write_phantom_dicom(film, images["adult"], bits=8)
    write_phantom_dicom(film, images["child"], bits=8, age=1, modality="SC")
    images["broken"].write_bytes(b"no film")
    images["jpeg"] = tmp_path / "jpeg.jpg"
    cv2.imwrite(str(images["jpeg"]), film.image)
    adult, child, broken, jpeg = from_bundle(images, eager, runtime="openvino")
    assert [adult.patient_id, child.patient_id] == ["adult", "child"]
    assert adult.boxes
    assert child.boxes == adult.boxes
    assert (broken.boxes, child.problem) == ((), None)
    assert broken.problem
    assert len(jpeg.boxes) >= 1


def test_boxes_are_in_pixels_of_the_film_however_small_its_image(
    tmp_path: Path, eager: Bundle
) -> None:
    film = phantom(np.random.default_rng(14), kind="opacity", size=512)
    images = {}
    for size in (512, 1024):
        images[str(size)] = tmp_path / f"{size}.png"
        # Every pixel twice, so that the network is shown the same square.
        image = film.image.repeat(size // 512, axis=0).repeat(size // 512, axis=1)
        cv2.imwrite(str(images[str(size)]), image)
    small, large = from_bundle(images, eager, runtime="openvino")
    for a, b in zip(small.boxes, large.boxes, strict=True):
        assert (a.x, a.y, a.width, a.height) == pytest.approx((b.x, b.y, b.width, b.height))
    assert max(max(box.x + box.width, box.y + box.height) for box in small.boxes) > 512


def test_films_are_read_a_few_at_a_time(
    tmp_path: Path, eager: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "_BATCH", 2)
    film = phantom(np.random.default_rng(0), kind="normal", size=128)
    images = {str(k): tmp_path / f"{k}.dcm" for k in range(5)}
    for path in images.values():
        write_phantom_dicom(film, path, bits=8)
    reader = from_bundle(images, eager, runtime="openvino")
    assert next(reader).patient_id == "0"
    images["4"].unlink()  # not looked at yet
    images["4"].write_bytes(b"")
    rest = list(reader)
    assert [film.patient_id for film in rest] == ["1", "2", "3", "4"]
    assert [film.problem is None for film in rest] == [True, True, True, False]


def test_a_box_run_gives_each_film_its_box_cut_at_the_edge(tmp_path: Path) -> None:
    arrays = boxed(splits=(("test", 3),))
    arrays["boxes_pred"] = np.array(
        [[-10, 20, 100, 100], [900, 900, 300, 50], [1100, 10, 50, 50]], float
    )
    folder = run_folder(tmp_path, "boxes", arrays)
    found = list(from_run(folder, ["film-002", "film-001", "film-000", "other"]))
    assert found[0].boxes == ()
    assert found[1].boxes == (Box(900, 900, 124, 50, 1.0),)
    assert found[2].boxes == (Box(0, 20, 90, 100, 1.0),)
    assert found[3].boxes == ()
    assert [film.problem is None for film in found] == [True, True, True, False]


def test_a_classifier_has_no_boxes_to_submit(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "base", labelled())
    with pytest.raises(RunError, match="predicts none"):
        list(from_run(folder, ["a"]))


def test_the_real_test_films_make_a_valid_submission(tmp_path: Path, real_data: Path) -> None:
    folder = real_data / "rsna_mini"
    images = {path.stem: path for path in sorted((folder / "stage_2_test_images").glob("*.dcm"))}
    out = tmp_path / "submission.csv"
    films = list(from_bundle(images, load_bundle(), runtime="openvino"))
    write_submission(out, films)
    assert len(films) == 30
    assert [film.problem for film in films] == [None] * 30
    assert check_submission(out, folder / "stage_2_sample_submission.csv") == []
