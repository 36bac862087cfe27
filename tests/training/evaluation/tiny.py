"""A bundle that is made in seconds and a folder of phantoms for it to read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inference.bundle import Bundle, Golden, write_bundle
from inference.calibration import softmax
from inference.kept import OutOfFold
from inference.manifest import CLASSES, Manifest, OperatingPoint, Suppression, TrainedOn
from training.phantoms import Kind, phantom, write_phantom_dicom
from training.tables import RSNA_CLASSES

SIDE = 64
KINDS: tuple[Kind, ...] = ("normal", "abnormal", "opacity")


def tiny_bundle(
    path: Path, *, sign: float = 1.0, kept: OutOfFold | None = None, **fields: Any
) -> Bundle:
    """Write a bundle whose network goes by the mean grey of the film, brighter meaning opacity.

    `sign` -1 turns it round. It sees two boxes on every film: a sure one on the left half, a faint
    one on the right.
    """
    import tensorflow as tf

    class Network(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 1), tf.uint8, name="image")])
        def serve(self, image: Any) -> dict[str, Any]:
            grey = tf.reduce_mean(tf.cast(image, tf.float32), axis=(1, 2, 3)) / 255.0
            logit = sign * 20.0 * (grey - 0.45)
            zero = tf.zeros_like(logit)
            boxes = tf.constant([[8, 12, 28, 52], [36, 12, 56, 52]], tf.float32)
            ones = tf.ones_like(logit)[:, None]
            return {
                "logits": tf.stack([-logit, zero, logit], axis=1),
                "boxes": ones[:, :, None] * boxes[None],
                "scores": ones * tf.constant([[0.8, 0.05]]),
            }

    module = Network()
    saved = path.with_name(f"{path.name}-network")
    tf.saved_model.save(module, str(saved), signatures={"serving_default": module.serve})
    golden = np.stack([np.full((SIDE, SIDE), grey, np.uint8) for grey in (40, 200)])
    out = {name: np.asarray(each) for name, each in module.serve(golden[..., None]).items()}
    values: dict[str, Any] = {
        "format": 1,
        "id": "tiny",
        "version": "1",
        "manufacturer": "Somebody",
        "evaluation_only": True,
        "intended_use": "Tests.",
        "input_size": SIDE,
        "classes": CLASSES,
        "temperature": 2.0,
        "operating_point": "youden",
        "operating_points": {
            "youden": OperatingPoint(0.4, 0.8, 0.7),
            "sensitivity_95": OperatingPoint(0.2, 0.95, 0.4),
        },
        "boxes": Suppression(0.1, 0.3, 0.5, 4, 1.0, True),
        "trained_on": TrainedOn("Nothing.", 0, 0, "0" * 64),
        "metrics": {},
    }
    return write_bundle(
        path,
        Manifest(**{**values, **fields}),
        network=saved,
        golden=Golden(
            inputs=golden,
            probabilities=softmax(out["logits"]).astype(np.float32),
            boxes=out["boxes"],
            scores=out["scores"],
        ),
        model_card="# tiny\n",
        out_of_fold=kept,
    )


def phantom_folder(
    folder: Path, count: int, *, children: int = 0, pictures: int | None = None
) -> Path:
    """Write a folder in the challenge's layout; two films a patient, the last ones of children.

    With `pictures`, a multiple of 3, no more are drawn than that, and films share them by turns.
    """
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    classes: list[tuple[object, ...]] = []
    labels: list[tuple[object, ...]] = []
    patients: list[tuple[object, ...]] = []
    films = [
        phantom(np.random.default_rng(number), kind=KINDS[number % 3], size=128)
        for number in range(min(count, pictures or count))
    ]
    for number in range(count):
        film = films[number % len(films)]
        name = f"film-{number:02d}"
        write_phantom_dicom(
            film,
            images / f"{name}.dcm",
            number=number,
            modality="SC",
            bits=8,
            sex="F" if number % 2 else "M",
            age=7 if number >= count - children else 30 + number,
        )
        classes.append((name, list(RSNA_CLASSES)[number % 3]))
        rows = [(name, *box, 1) for box in film.boxes]
        labels += rows or [(name, "", "", "", "", 0)]
        patients.append((name, f"nih-{number // 2}"))
    for file, head, lines in (
        ("stage_2_detailed_class_info.csv", ("patientId", "class"), classes),
        (
            "stage_2_train_labels.csv",
            ("patientId", "x", "y", "width", "height", "Target"),
            labels,
        ),
        ("nih_patients.csv", ("patientId", "nih_patient"), patients),
    ):
        with (folder / file).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([head, *lines])
    return folder


def nih_folder(folder: Path, count: int) -> Path:
    """Write a folder of NIH films in noise, pneumonia and no finding by turns."""
    (folder / "images").mkdir(parents=True)
    rows = ["image,finding_labels,pneumonia,patient,age,sex,view,boxes_xywh"]
    rng = np.random.default_rng(0)
    for k in range(count):
        cv2.imwrite(
            str(folder / "images" / f"{k}.jpg"), rng.integers(20, 235, (150, 128), dtype=np.uint8)
        )
        what = "Pneumonia,1" if k % 2 else "No Finding,0"
        rows.append(f"{k}.jpg,{what},p{k},{30 + k},F,PA,")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
