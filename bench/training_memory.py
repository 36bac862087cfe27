"""Memory of one epoch on a folder as large as the challenge's, of films that never were.

    python -m bench.training_memory --films 26684 --experiment base-model

Writes a folder in the challenge's form (1024 x 1024, JPEG inside DICOM, drawn from a few phantoms),
has `hilum train` run one epoch of one experiment on all of it, and watches the resident memory of
all its processes: what reads the whole set would grow with every film. The record is kept in runs/.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from bench.common import ROOT, keep, machine, median, table
from training.phantoms import Kind, Phantom, phantom, write_phantom_dicom

SIDE = 1024
DRAWN = 24
KINDS: tuple[Kind, ...] = ("normal", "opacity", "abnormal", "opacity")
CLASSES = {
    "normal": "Normal",
    "abnormal": "No Lung Opacity / Not Normal",
    "opacity": "Lung Opacity",
}
SAMPLE_SECONDS = 0.5
MEGABYTE = 1_000_000


class Sample(NamedTuple):
    """Resident memory of a moment: seconds since the start, bytes of all processes together."""

    seconds: float
    resident: int


def main() -> None:
    """Write the folder, train, print the table, keep the record."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="hilum-bench-", dir=arguments.place) as name:
        place = Path(name)
        began = time.perf_counter()
        size = write_folder(place / "kaggle", arguments.films)
        seconds = time.perf_counter() - began
        print(
            f"{arguments.films} films, {size / 1e9:.1f} GB, written in {seconds:.0f} s", flush=True
        )
        samples = watch(place, arguments)
    about = machine()
    settings = {name: getattr(arguments, name) for name in ("experiment", "films", "size")}
    path = keep("training_memory", {"machine": about, "settings": settings, "samples": samples})
    print(
        f"One epoch of {arguments.experiment} at {arguments.size} pixels, {arguments.films} films,"
        f" {about['cores']} cores of {about['processor']} (commit {about['commit']},"
        f" {about['time']}).\n"
    )
    print(table(("to second", "median MB of all processes", "most MB"), _tenths(samples)))
    print(f"\nKept in {path}")


def write_folder(folder: Path, films: int) -> int:
    """Write a folder in the challenge's form, three classes mixed; return its images' bytes."""
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    drawn = [_drawn(number, folder) for number in range(DRAWN)]
    labels, classes, written = ["patientId,x,y,width,height,Target"], ["patientId,class"], 0
    for number in range(films):
        film, dataset = drawn[number % DRAWN]
        name = f"film-{number:05d}"
        dataset.SOPInstanceUID = f"2.25.{10**9 + number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = images / f"{name}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        written += path.stat().st_size
        boxes = [",".join(f"{value:.1f}" for value in box) for box in film.boxes]
        labels += [f"{name},{box},1" for box in boxes] or [f"{name},,,,,0"]
        classes += [f"{name},{CLASSES[film.kind]}"] * max(len(boxes), 1)
    (folder / "stage_2_train_labels.csv").write_text("\n".join(labels) + "\n", encoding="utf-8")
    (folder / "stage_2_detailed_class_info.csv").write_text(
        "\n".join(classes) + "\n", encoding="utf-8"
    )
    return written


def watch(place: Path, arguments: argparse.Namespace) -> list[Sample]:
    """Train, sampling the resident memory of the command and all that it starts.

    Raises:
        SystemExit: the experiment did not finish.
    """
    command = [
        sys.executable, str(ROOT / "hilum.py"), "train", arguments.experiment,
        "--folder", str(place / "kaggle"), "--runs", str(place / "runs"), "--epochs", "1",
        "--films", str(arguments.films), "--size", str(arguments.size),
    ]  # fmt: skip
    samples: list[Sample] = []
    began = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            samples.append(Sample(time.monotonic() - began, _resident(psutil.Process(process.pid))))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SAMPLE_SECONDS)
    if process.returncode:
        sys.exit(f"hilum train ended with code {process.returncode}")
    return samples


def _drawn(number: int, folder: Path) -> tuple[Phantom, Dataset]:
    """Draw a phantom and make its data set, compressed as the challenge's films are."""
    film = phantom(np.random.default_rng(number), kind=KINDS[number % len(KINDS)], size=SIDE)
    path = folder / "drawn.dcm"
    write_phantom_dicom(film, path, number=number, modality="SC", bits=8)
    dataset = dcmread(path)
    path.unlink()
    encoded = BytesIO()
    Image.fromarray(film.image).save(encoded, "JPEG", quality=90)
    dataset.PixelData = encapsulate([encoded.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return film, dataset


def _resident(process: psutil.Process) -> int:
    """Return the resident bytes of a process and its descendants; one just gone counts nothing."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
    return total


def _tenths(samples: Sequence[Sample]) -> list[tuple[str, str, str]]:
    """Return a row for each tenth of the time: when it ends, the median and the most memory."""
    rows = []
    for tenth in range(10):
        part = samples[len(samples) * tenth // 10 : len(samples) * (tenth + 1) // 10]
        if part:
            sizes = [each.resident / MEGABYTE for each in part]
            rows.append((f"{part[-1].seconds:.0f}", f"{median(sizes):.0f}", f"{max(sizes):.0f}"))
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=26_684)
    parser.add_argument("--experiment", default="base-model")
    parser.add_argument("--size", type=int, default=64, help="side of the films for the network")
    parser.add_argument("--place", type=Path, help="where the folder is written; it needs room")
    return parser.parse_args()


if __name__ == "__main__":
    main()
