"""From a Kaggle folder to a bundle that the service can use, by the one function that does it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from inference.bundle import Bundle, load_bundle
from inference.pixels import network_input
from inference.predict import Predictor, reading
from inference.prepare import load_display
from training import film_kinds, kind_examples, runs
from training.default_bundle import make_default_bundle
from training.fit import Recipe
from training.phantoms import Kind, phantom, write_phantom_dicom
from training.stem import featurise
from training.tables import RSNA_CLASSES

pytestmark = pytest.mark.long

SIZE = 64
RECIPE = Recipe(variants=2, pasted=1, controls=0, batch=8, epochs=2, watch=1, members=1)
PICTURES = kind_examples.Recipe(
    jitters=1, changes=4, parts=2, others=2, laterals=8, phantoms=2, bodies=2
)
KINDS: tuple[Kind, ...] = ("normal", "abnormal", "opacity")


def kaggle_folder(folder: Path, count: int) -> Path:
    """A folder in the challenge's layout, of phantoms."""
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    classes, labels = ["patientId,class"], ["patientId,x,y,width,height,Target"]
    for number in range(count):
        kind = KINDS[number % 3]
        film = phantom(np.random.default_rng(number), kind=kind, size=128)
        name = f"film-{number:02d}"
        write_phantom_dicom(film, images / f"{name}.dcm", number=number, modality="SC", bits=8)
        classes.append(f"{name},{list(RSNA_CLASSES)[number % 3]}")
        labels += [f"{name},{x},{y},{w},{h},1" for x, y, w, h in film.boxes] or [f"{name},,,,,0"]
    (folder / "stage_2_detailed_class_info.csv").write_text("\n".join(classes) + "\n")
    (folder / "stage_2_train_labels.csv").write_text("\n".join(labels) + "\n")
    return folder


def make(folder: Path, said: list[str]) -> Bundle:
    return make_default_bundle(
        folder / "kaggle",
        None,
        None,
        folder / "bundle",
        recipe=RECIPE,
        pictures=PICTURES,
        work=folder / "work",
        side=SIZE,
        folds=2,
        say=said.append,
    )


@pytest.mark.timeout(900)
def test_a_kaggle_folder_becomes_a_bundle_and_a_stopped_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle_folder(tmp_path / "kaggle", 24)
    # OpenVINO's features and how kinds are told apart have tests of their own.
    monkeypatch.setattr(runs, "fastest", lambda stem: partial(featurise, stem))
    monkeypatch.setattr(film_kinds, "Fitting", partial(film_kinds.Fitting, folds=2, epochs=2))
    honest = runs.fit
    trained: list[int] = []

    def stopping(*args: object, **kwargs: object) -> list[float]:
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(1)
        return honest(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(runs, "fit", stopping)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, [])
    assert not (tmp_path / "bundle").exists()

    # One network has learnt; that learning works is shown in test_fit.
    def pretended(*_: object, watch: Callable[[int], None] | None, **__: object) -> list[float]:
        for epoch in (1, 2):
            if watch is not None:
                watch(epoch)
        return [0.0]

    monkeypatch.setattr(runs, "fit", pretended)
    said: list[str] = []
    bundle = make(tmp_path, said)
    assert not any(line.startswith("fold 0") for line in said)  # it was kept
    assert any(line.startswith("fold 1") for line in said)

    assert bundle == load_bundle(tmp_path / "bundle")
    assert bundle.trained_on.films == 24
    assert bundle.metrics["opacity_auc"].low <= bundle.metrics["opacity_auc"].high
    assert "24 films" in (bundle.path / "model_card.md").read_text()
    assert any(line.startswith("epoch 2: challenge metric") for line in said)

    predictor = Predictor(bundle, runtime="openvino")
    _, image = load_display(tmp_path / "kaggle/stage_2_train_images/film-02.dcm", 1_000_000)
    square, box = network_input(image, bundle.input_form)
    (raw,) = predictor.predict(square[None])
    film = reading(raw, box, *image.shape, bundle)
    assert film.bundle == "hilum-default 1"
    assert 0 < film.pneumonia < 1

    # Kept folds belong to the data that they were trained on: a relabelled film must not meet them.
    info = tmp_path / "kaggle" / "stage_2_detailed_class_info.csv"
    info.write_text(info.read_text().replace("film-00,Normal", f"film-00,{list(RSNA_CLASSES)[1]}"))
    trained.clear()
    monkeypatch.setattr(runs, "fit", stopping)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, [])
    assert trained == [1]
