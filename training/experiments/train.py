"""A run of a network: films, training epoch by epoch, predictions for every film."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.experiments import boxes, checkpoint, networks, record
from training.experiments.build import build, compile_model
from training.experiments.callbacks import Keeper, MlflowLog
from training.experiments.data import Order, Source, open_source, ordered_batches, training_batches
from training.experiments.job import Job
from training.experiments.predict import predict_batches, predict_paths
from training.experiments.progress import Progress
from training.experiments.selection import Indices, Selection, first_boxes, one_hot, select
from training.experiments.spec import Precision, Train
from training.kaggle.folder import KaggleFolder
from training.tables import Film

CHALLENGE = "challenge"
"""Split of the challenge's own test films in a box run's predictions; their truth is not known."""

Arrays = dict[str, NDArray[Any]]


def train_network(
    job: Job, train: Train, kaggle: KaggleFolder, films: list[Film], devices: Sequence[str] | None
) -> None:
    """Train an experiment's network, predict every film, write all of it into the run's folder.

    `devices` are TensorFlow's names of what to train on, None all GPUs, else the CPU; on more than
    one, each batch is shared among them.

    Raises:
        DataError: the folder's films do not do.
        SizeError: the pictures are too small for the network.
        WeightsError: the weights to start from cannot be had or do not fit.
        TrainingError: training diverges.
    """
    spec = job.spec
    with job.stage("decode"):
        selection = select(films, spec.data, boxes=spec.kind == "boxes", seed=train.seed)
        source = open_source(
            films, selection, spec.data, _targets(job, selection), job.cache,
            watch=lambda done, total: job.watch(Progress("decode", done, total)),
        )  # fmt: skip
    job.kept.films = {name: len(selection.split(name)) for name in ("train", "val", "test")}
    keras.utils.clear_session()
    keras.utils.set_random_seed(train.seed)
    tf.config.experimental.enable_op_determinism()
    strategy, job.kept.devices = _strategy(devices)
    with _policy(train.precision), strategy.scope():
        model, started = build(spec, job.overrides)
        job.note_start(started)
        compile_model(model, spec, train)
        history = checkpoint.restore(job.home / record.CHECKPOINT, model)
        job.kept.parameters = networks.parameters(model)
        job.keep(history)
        with job.stage("train"):
            _fit(job, train, model, source, selection, history)
        with job.stage("predict"):
            everything = np.arange(len(selection.films), dtype=np.int64)
            outputs = predict_batches(model, ordered_batches(source, everything, train.batch))
            found = _predictions(job, selection, source.targets, outputs)
            if spec.kind == "boxes" and spec.data.resize == "correct":
                found = _with_challenge(job, model, kaggle, found)
    record.write_predictions(job.home, found)
    # Without the optimizer's state, which is several times as large as the weights.
    keras.Model(model.inputs, model.outputs).save_weights(job.home / record.WEIGHTS)
    checkpoint.remove(job.home / record.CHECKPOINT)


def _targets(job: Job, selection: Selection) -> NDArray[np.float32]:
    if job.spec.kind == "classes":
        return one_hot(selection.films)
    return first_boxes(selection.films) * np.float32(_box_scale(job))


def _box_scale(job: Job) -> float:
    return boxes.scale_of(job.spec.network.targets, job.spec.data.size)


def _fit(
    job: Job,
    train: Train,
    model: keras.Model,
    source: Source,
    selection: Selection,
    history: record.History,
) -> None:
    if len(history) >= train.epochs:
        return
    order = Order(train.batch, train.seed, len(history), train.epochs)
    steps = order.steps(len(selection.train))
    callbacks: list[keras.callbacks.Callback] = [
        Keeper(
            job.home / record.CHECKPOINT, history, steps, train.epochs,
            kept=job.keep, watch=job.watch,
        )
    ]  # fmt: skip
    if importlib.util.find_spec("tensorboard") is not None:
        folder = str(job.home / record.TENSORBOARD)
        callbacks.append(keras.callbacks.TensorBoard(folder, write_graph=False))
    if job.mlflow:
        callbacks.append(MlflowLog(job.spec.id, _flat(job.spec.model_dump(mode="json"))))
    model.fit(
        training_batches(source, selection.train, order, train.augmentation),
        validation_data=ordered_batches(source, selection.val, train.batch),
        initial_epoch=len(history),
        epochs=train.epochs,
        steps_per_epoch=steps,
        callbacks=callbacks,
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    )


def _predictions(
    job: Job, selection: Selection, targets: NDArray[np.float32], outputs: NDArray[np.float32]
) -> Arrays:
    """Name each split's films, truth and outputs; boxes in pixels of the film."""
    splits: list[tuple[str, Indices]] = [
        (name, selection.split(name)) for name in ("train", "val", "test")
    ]
    order = np.concatenate([which for _, which in splits])
    arrays: Arrays = {
        "split": np.repeat([name for name, _ in splits], [len(which) for _, which in splits]),
        "patient_id": np.array([film.id for film in selection.films])[order],
    }
    if job.spec.kind == "classes":
        truth = targets[:, 1].astype(np.int64)
        return arrays | {"y_true": truth[order], "y_prob": outputs[order, 1]}
    true, found = targets / np.float32(_box_scale(job)), outputs / np.float32(_box_scale(job))
    box, scores = boxes.constant_baseline(
        true[selection.train], {name: true[which] for name, which in splits}
    )
    job.kept.constant_box = {"box": box.tolist(), "iou": scores}
    return arrays | {"boxes_true": true[order], "boxes_pred": found[order]}


def _with_challenge(job: Job, model: keras.Model, kaggle: KaggleFolder, found: Arrays) -> Arrays:
    """Add boxes for the challenge's own test films, which the report submitted."""
    outputs = predict_paths(model, job.spec, list(kaggle.test_images.values()))
    read = np.isfinite(outputs).all(axis=1)
    if not read.all():
        job.kept.remarks.append(f"{(~read).sum()} films of the challenge's test cannot be read")
    ids = np.array(list(kaggle.test_images), dtype=np.str_)[read]
    return {
        "split": np.concatenate([found["split"], np.full(len(ids), CHALLENGE)]),
        "patient_id": np.concatenate([found["patient_id"], ids]),
        "boxes_true": np.concatenate(
            [found["boxes_true"], np.full((len(ids), 4), np.nan, np.float32)]
        ),
        "boxes_pred": np.concatenate([found["boxes_pred"], outputs[read]]),
    }


def _strategy(devices: Sequence[str] | None) -> tuple[tf.distribute.Strategy, list[str]]:
    """Choose what to train on, and name it for the record."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            break  # the GPUs are in use already, as an earlier run of this process left them
    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    described = [str(name) for name in names] or [f"CPU, {len(os.sched_getaffinity(0))} cores"]
    chosen = list(devices) if devices is not None else [gpu.name for gpu in gpus]
    if len(chosen) > 1:
        logical = [name.removeprefix("/physical_device:") for name in chosen]
        return tf.distribute.MirroredStrategy(logical), described
    return tf.distribute.get_strategy(), described


@contextmanager
def _policy(precision: Precision) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten settings to dotted names, as MLflow takes them."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
