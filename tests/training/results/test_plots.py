"""Figures show what they were given: checked on the drawn artists and on pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from tests.training.results.made import boxed, detected, labelled, run_folder
from training.phantoms import phantom, write_phantom_dicom
from training.results import curves, films, plots
from training.results.runs import BoxPredictions, Detections, load_run
from training.results.scores import Confusion

HISTORY = {
    "epoch": np.array([1.0, 2, 3]),
    "loss": np.array([0.7, 0.6, 0.5]),
    "accuracy": np.array([0.5, 0.6, 0.7]),
    "val_loss": np.array([0.7, 0.65, 0.66]),
    "val_accuracy": np.array([0.5, 0.55, 0.56]),
}


def sheet(history: dict[str, NDArray[np.float64]] | None = None) -> Figure:
    arrays = labelled()
    truth, probability = arrays["y_true"] == 1, arrays["y_prob"]
    return plots.classifier_figure(
        Confusion(tp=30, fn=10, fp=5, tn=35),
        curves.roc(probability, truth),
        curves.precision_recall(probability, truth),
        curves.delong_interval(probability, truth),
        HISTORY if history is None else history,
    )


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has(image: NDArray[np.uint8], colour: str) -> bool:
    """Whether a colour stands in the image, as far as its few colours allow."""
    wanted = np.array(to_rgb(colour)) * 255
    return bool((np.abs(image.astype(float) - wanted).max(axis=2) < 24).any())


def test_a_classifiers_sheet_has_its_five_panels_labelled() -> None:
    figure = sheet()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["loss", "accuracy", "confusion matrix", "ROC", "precision and recall"]
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "epoch",
        "epoch",
        "called",
        "1 - specificity",
        "recall",
    ]
    image = pixels(plots.png(figure))
    assert image.shape[1] == 5 * image.shape[0]
    assert has(image, plots.OURS)
    assert has(image, plots.OTHER)


def test_the_confusion_matrix_has_truth_in_rows_and_calls_in_columns() -> None:
    axes = sheet().axes[2]
    told = {
        (round(text.get_position()[0]), round(text.get_position()[1])): text.get_text()
        for text in axes.texts
        if "%" not in text.get_text()
    }
    assert told == {(0, 0): "35", (1, 0): "5", (0, 1): "10", (1, 1): "30"}
    shares = [text.get_text() for text in axes.texts if "%" in text.get_text()]
    assert shares == ["88%", "12%", "25%", "75%"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["no opacity", "opacity"]


def test_epochs_are_drawn_for_training_and_validation() -> None:
    loss, accuracy = sheet().axes[:2]
    assert [line.get_label() for line in loss.lines] == ["train", "validation"]
    assert [line.get_ydata().tolist() for line in accuracy.lines] == [
        HISTORY["accuracy"].tolist(),
        HISTORY["val_accuracy"].tolist(),
    ]


def test_a_run_without_epochs_says_so() -> None:
    loss = sheet({}).axes[0]
    assert [text.get_text() for text in loss.texts] == ["no epochs recorded"]
    assert not loss.lines


def test_roc_is_drawn_beside_chance_with_its_interval() -> None:
    figure = sheet()
    axes = figure.axes[3]
    assert len(axes.lines) == 2
    assert axes.texts[0].get_text().startswith("AUC 0.")
    assert "95 %" in axes.texts[0].get_text()


def test_iou_is_drawn_beside_the_constant_box() -> None:
    iou, constant = np.full(10, 0.5), np.full(10, 0.1)
    figure = plots.box_figure(iou, constant, {"epoch": np.ones(1), "iou": np.ones(1)})
    legend = figure.axes[2].get_legend()
    assert legend is not None
    told = {text.get_text() for text in legend.get_texts()}
    assert told == {"this network, mean 0.500", "constant box, mean 0.100"}


def test_true_boxes_are_red_and_predicted_ones_yellow_at_their_place() -> None:
    film = films.Film(
        np.zeros((64, 64), np.uint8),
        np.array([[100.0, 200, 300, 400]]),
        np.array([[500.0, 600, 200, 100]]),
        "IoU 0.00",
    )
    figure = films.films_figure([film], columns=1)
    red, yellow = figure.axes[0].patches
    assert (red.get_xy(), red.get_width(), red.get_height()) == ((100, 200), 300, 400)  # type: ignore[attr-defined]  # a Rectangle
    assert (yellow.get_xy(), yellow.get_width()) == ((500, 600), 200)  # type: ignore[attr-defined]  # a Rectangle
    assert red.get_edgecolor()[:3] == to_rgb(films.TRUE_COLOUR)
    assert yellow.get_edgecolor()[:3] == to_rgb(films.PREDICTED_COLOUR)
    assert figure.axes[0].get_ylim() == (1024, 0)
    image = pixels(plots.png(figure, colours=200))
    assert has(image, films.TRUE_COLOUR)
    assert has(image, films.PREDICTED_COLOUR)


def predictions(count: int) -> BoxPredictions:
    arrays = boxed(splits=(("test", count),))
    return BoxPredictions(
        arrays["split"], arrays["patient_id"], arrays["boxes_true"], arrays["boxes_pred"]
    )


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Path]:
    film = phantom(np.random.default_rng(0), kind="opacity", size=128)
    found = {f"film-{k:03d}": tmp_path / f"{k}.dcm" for k in range(6)}
    for path in found.values():
        write_phantom_dicom(film, path, bits=8)
    return found


def test_films_are_chosen_from_the_best_to_the_worst(images: dict[str, Path]) -> None:
    given = predictions(6)
    overlap = np.sort(curves.pair_iou(given.truth, given.predicted))[::-1]
    shown = films.choose(films.candidates(given), images, count=3)
    assert [film.caption for film in shown] == [f"IoU {overlap[k]:.2f}" for k in (0, 2, 5)]
    assert shown[0].image.shape == (128, 128)


def test_a_detectors_films_are_chosen_with_what_counts(tmp_path: Path) -> None:
    found = load_run(run_folder(tmp_path, "detector", detected())).predictions
    assert isinstance(found, Detections)
    listed = films.candidates(found)
    assert [each.caption for each in listed] == ["2 detections", "0 detections", "1 detections"]
    assert [each.overlap for each in listed] == [1.0, 0.0, 0.0]
    assert [len(each.truth) for each in listed] == [2, 0, 0]


def test_only_films_that_have_an_image_are_shown(images: dict[str, Path]) -> None:
    assert len(films.choose(films.candidates(predictions(6)), dict(list(images.items())[:2]))) == 2
    assert films.choose(films.candidates(predictions(6)), {}) == []


def test_a_film_that_cannot_be_decoded_says_so(images: dict[str, Path], tmp_path: Path) -> None:
    images["film-000"].write_bytes(b"")
    images["film-001"] = tmp_path / "one.jpg"
    images["film-001"].write_bytes(b"")
    shown = films.choose(films.candidates(predictions(2)), images)
    assert all("cannot be decoded" in film.caption for film in shown)


def test_large_films_are_made_small(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    Image.fromarray(np.full((1000, 500), 90, np.uint8)).save(path)
    image = films.load_image(path)
    assert image is not None
    assert image.shape == (320, 160)
    assert image.mean() == 90
