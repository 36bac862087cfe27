"""Small folders in the challenge's form, of clouds that are brighter where they are positive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from training.drawing import Rectangle
from training.phantoms import Kind, Phantom, write_phantom_dicom
from training.tables import Film

KINDS: tuple[Kind, ...] = ("opacity", "normal", "abnormal", "opacity")
CLASSES = {
    "opacity": "Lung Opacity",
    "normal": "Normal",
    "abnormal": "No Lung Opacity / Not Normal",
}


def write_folder(folder: Path, films: int, *, side: int = 128, patients: int | None = None) -> Path:
    """Write a folder of films, half of them positive, with boxes in pixels of 1024.

    `patients` deals the films to so many NIH patients; None leaves the table of them out.
    """
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    labels, classes, nih = ["patientId,x,y,width,height,Target"], ["patientId,class"], []
    for number in range(films):
        name = f"film{number:04d}"
        kind = KINDS[number % len(KINDS)]
        film = cloud(np.random.default_rng(number), kind, side)
        write_phantom_dicom(film, images / f"{name}.dcm", number=number, modality="SC", bits=8)
        scale = 1024 / side
        for x, y, width, height in film.boxes:
            box = ",".join(str(round(value * scale, 1)) for value in (x, y, width, height))
            labels.append(f"{name},{box},1")
            classes.append(f"{name},{CLASSES[kind]}")
        if not film.boxes:
            labels.append(f"{name},,,,,0")
            classes.append(f"{name},{CLASSES[kind]}")
        nih.append(f"{name},p{number % (patients or 1)}")
    (folder / "stage_2_train_labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "stage_2_detailed_class_info.csv").write_text("\n".join(classes) + "\n")
    if patients is not None:
        rows = ["patientId,nih_patient", *nih]
        (folder / "nih_patients.csv").write_text("\n".join(rows) + "\n")
    return folder


def table(positive: int, negative: int, *, patients: Sequence[str] | None = None) -> list[Film]:
    """Make a table of films that are nowhere on disk, the positive ones first, one box each."""
    count = positive + negative
    who = patients or [f"p{number}" for number in range(count)]
    return [
        Film(
            f"f{number:05d}",
            Path(f"/nowhere/f{number:05d}.dcm"),
            who[number],
            2 if number < positive else number % 2,
            ((number % 700, 10.0, 100.0, 200.0),) if number < positive else (),
            "rsna",
        )
        for number in range(count)
    ]


def cloud(rng: np.random.Generator, kind: Kind, side: int) -> Phantom:
    """Draw soft noise, with one or two bright boxes where it shows an opacity."""
    noise = rng.normal(90, 30, (8, 8)).astype(np.float32)
    image = np.clip(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC), 0, 160)
    boxes: list[Rectangle] = []
    for _ in range(rng.integers(1, 3) if kind == "opacity" else 0):
        x, y = rng.integers(side // 8, side // 2, 2)
        width, height = rng.integers(side // 4, side // 2, 2)
        image[y : y + height, x : x + width] += 80
        boxes.append((float(x), float(y), float(width), float(height)))
    return Phantom(image.astype(np.uint8), tuple(boxes), kind, "PA", "noise")
