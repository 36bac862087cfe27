"""A run of a ready detector: nothing is trained, its boxes are written beside the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.experiments import faster_rcnn, record
from training.experiments.decoded import picture
from training.experiments.job import Job
from training.experiments.progress import Progress
from training.experiments.selection import FILM_SIDE, choose
from training.experiments.weights import Start
from training.tables import Film


def detect(job: Job, films: Sequence[Film]) -> None:
    """Run the detector over the films of a selection and write what it found.

    `predictions.npz` then has `split` and `patient_id` (films,), flat `boxes` (n, 4) x, y, width,
    height in pixels of the 1024 film, `scores`, `classes` (COCO's ids) and `film_index` (n,), and
    the true boxes, `boxes_true` (m, 4), with `true_film_index`.

    Raises:
        WeightsError: no SavedModel was given, or it is none of a detector.
        RefusedError: a film cannot be decoded.
    """
    data = job.spec.data
    detector = faster_rcnn.load(job.overrides.weights)
    job.note_start(Start("file", Path(str(job.overrides.weights))))
    chosen = choose(films, data, boxes=False, seed=job.kept.seed)
    job.kept.films = {"train": 0, "val": 0, "test": len(chosen)}
    found, truth = [], []
    with job.stage("predict"):
        for number, film in enumerate(chosen):
            grey = picture(film.path, data.size, data.source)
            found.append(detector.detect(np.repeat(grey[..., None], 3, axis=2)))
            truth.append(np.array(film.boxes or (), np.float32).reshape(-1, 4))
            job.watch(Progress("predict", number + 1, len(chosen)))
    numbers = np.arange(len(chosen))
    record.write_predictions(
        job.home,
        {
            "split": np.full(len(chosen), "test"),
            "patient_id": np.array([film.id for film in chosen]),
            "film_index": np.repeat(numbers, [len(each.scores) for each in found]),
            "boxes": np.concatenate([f.boxes for f in found]) * np.float32(FILM_SIDE / data.size),
            "scores": np.concatenate([each.scores for each in found]),
            "classes": np.concatenate([each.classes for each in found]),
            "true_film_index": np.repeat(numbers, [len(each) for each in truth]),
            "boxes_true": np.concatenate(truth),
        },
    )
