"""From an experiment to its network, compiled or as a finished run left it."""

from __future__ import annotations

from pathlib import Path

import keras

from training.experiments import boxes, networks, record, transfer
from training.experiments.overrides import Overrides
from training.experiments.spec import Spec, SpecError, Train, validate
from training.experiments.weights import NONE, Start
from training.networks import JIT

DETECTOR_SMALLEST = 16


def smallest_size(spec: Spec) -> int:
    """The smallest picture, in pixels a side, that the experiment's network takes."""
    if spec.kind == "detector":
        return DETECTOR_SMALLEST
    if spec.model in networks.STACKS:
        return networks.smallest_size(networks.stack(spec.model, extended=spec.network.extended))
    return transfer.BACKBONES[spec.model].smallest


def build(spec: Spec, overrides: Overrides) -> tuple[keras.Model, Start]:
    """Build an experiment's network with the weights that it starts from.

    Raises:
        SizeError: the pictures are too small.
        WeightsError: the weights cannot be had or do not fit.
    """
    network = spec.network
    if spec.model in networks.STACKS:
        made = networks.build(spec.model, spec.data.size, extended=network.extended)
        return made, Start("none")
    how = transfer.How(
        network.weights,
        overrides.weights,
        overrides.random_if_missing,
        network.frozen,
        network.preprocess == "backbone",
    )
    make = boxes.build if spec.kind == "boxes" else transfer.build
    return make(spec.model, spec.data.size, how)


def compile_model(model: keras.Model, spec: Spec, train: Train) -> None:
    """Give a network its optimizer, loss and metric: "accuracy", or "iou" for boxes."""
    if train.optimizer == "adam":
        optimizer = keras.optimizers.Adam(
            train.learning_rate, train.beta_1, train.beta_2, train.epsilon
        )
    else:
        optimizer = keras.optimizers.RMSprop(train.learning_rate, epsilon=train.epsilon)
    # Keras would take "accuracy" for the accuracy of each output by itself.
    metric = (
        keras.metrics.MeanMetricWrapper(boxes.iou, name="iou")
        if spec.kind == "boxes"
        else keras.metrics.CategoricalAccuracy(name="accuracy")
    )
    model.compile(optimizer=optimizer, loss=train.loss, metrics=[metric], jit_compile=JIT)


def load_run(home: Path) -> tuple[Spec, keras.Model]:
    """Load a finished run: the experiment as it was run, and its trained network.

    Raises:
        SpecError: the folder holds no finished run of a network.
    """
    found = record.read(home)
    weights = home / record.WEIGHTS
    if found is None or found.get("status") != record.Status.DONE or not weights.is_file():
        raise SpecError(f"{home}: there is no finished run of a network in it")
    spec = validate(found["settings"], f"{home / record.RECORD}: settings")
    model, _ = build(spec, Overrides(weights=NONE))
    model.load_weights(weights)
    return spec, model
