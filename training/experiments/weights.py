"""Where a backbone starts: Keras's own download, a given file that is checked, or at random."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

NONE = "none"
"""What `overrides.Overrides.weights` says where the network shall start at random."""
SUFFIXES = (".h5", ".weights.h5")
_KINDS = {
    keras.layers.Conv2D: "conv2d",
    keras.layers.DepthwiseConv2D: "depthwise_conv2d",
    keras.layers.BatchNormalization: "batch_normalization",
    keras.layers.Dense: "dense",
}
"""Layers with weights, and how Keras 3's files name them."""
_AUTOMATIC = re.compile(r"^(conv2d|batch_normalization|dense)(_\d+)?$")


class WeightsError(Exception):
    """Weights cannot be had or do not fit; the message names the file and the layer."""


@dataclass(frozen=True, slots=True)
class Head:
    """The layer that a file must have above the backbone: its name, inputs and outputs."""

    name: str
    features: int
    classes: int


CHEXNET_HEAD = Head("predictions", 1024, 14)
"""CheXNet (Rajpurkar et al. 2017) tells 14 findings by one dense layer on DenseNet121."""


@dataclass(frozen=True, slots=True)
class Start:
    """What the backbone started from, for the run's record; `remark` where it is not the spec's."""

    used: Literal["none", "imagenet", "file"]
    file: Path | None = None
    remark: str | None = None


Make = Callable[[str | None], keras.Model]
"""Builds the backbone with weights "imagenet" (Keras downloads them) or None."""


def start(
    make: Make, model: str, wanted: str, given: str | None, *, random_if_missing: bool
) -> tuple[keras.Model, Start]:
    """Build a backbone and give it its weights.

    Args:
        make: Builds the backbone.
        model: Its name, as in the experiment's `model`.
        wanted: The experiment's `network.weights`: "none", "imagenet" or "chexnet".
        given: "none", a file or a folder of files (see `find`); None: as `wanted` says.
        random_if_missing: Start at random where the weights cannot be had, and say so.

    Raises:
        WeightsError: the weights cannot be had, or a file does not fit.
    """
    if wanted == NONE:
        return make(None), Start("none")
    if given == NONE:
        return make(None), Start("none", remark=f"started at random as asked, not from {wanted}")
    try:
        file = None if given is None else find(Path(given), model)
        if file is None and wanted == "imagenet":
            return _download(make, model), Start("imagenet")
        if file is None:
            raise WeightsError(
                f"{model}: {wanted} weights cannot be downloaded by program; give their file"
                " or its folder (--weights)"
            )
    except WeightsError as error:
        if not random_if_missing:
            raise
        return make(None), Start("none", remark=f"started at random: {error}")
    backbone = make(None)
    load(backbone, file, head=CHEXNET_HEAD if wanted == "chexnet" else None)
    return backbone, Start("file", file)


def find(where: Path, model: str) -> Path:
    """Return `where` if it is a file; in a folder, MODEL.h5 or MODEL.weights.h5.

    Raises:
        WeightsError: there is no such file.
    """
    if where.is_file():
        return where
    for suffix in SUFFIXES:
        if (where / f"{model}{suffix}").is_file():
            return where / f"{model}{suffix}"
    names = " or ".join(f"{model}{suffix}" for suffix in SUFFIXES)
    raise WeightsError(f"{where}: no file {names} there: put the weights of {model} into it")


def load(backbone: keras.Model, file: Path, *, head: Head | None = None) -> None:
    """Load a file into a backbone, after every layer's name and shapes were checked.

    Takes what Keras 1 and 2 wrote (`.h5`, weights alone or a whole model; layers may be named
    "conv1/conv" as of old) and Keras 3's `.weights.h5`, which counts layers and does not name them.

    Args:
        backbone: The network without its top.
        file: The file.
        head: The layer that must stand above the backbone in the file, and which is not kept. None:
            dense layers may stand there.

    Raises:
        WeightsError: the file is no such file, or a layer is missing, strange or of another shape.
    """
    try:
        with h5py.File(file) as opened:
            group = opened.get("model_weights", opened)
            if "layer_names" in group.attrs or "layer_names0" in group.attrs:
                layers = list(_legacy_layers(group))
            elif "layers" in group:
                layers = list(_keras_3_layers(group["layers"], backbone, head))
            else:
                raise WeightsError(f"{file}: this is no file of Keras weights: no layers in it")
    except OSError:
        raise WeightsError(f"{file}: cannot be read as HDF5: no file of Keras weights") from None
    _load_layers(backbone, [layer for layer in layers if layer.arrays], file, head)


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    arrays: list[NDArray[np.float32]]


def _legacy_layers(group: h5py.Group) -> Iterator[_Layer]:
    for name in _texts(group, "layer_names"):
        held = group[name]
        weights = [np.asarray(held[each]) for each in _texts(held, "weight_names")]
        yield _Layer(name.replace("/", "_"), weights)


def _keras_3_layers(
    group: h5py.Group, backbone: keras.Model, head: Head | None
) -> Iterator[_Layer]:
    """Name the layers of a Keras 3 file, which knows them by kind and number, after the backbone's.

    What is left stands above it; the first dense layer there is taken for the head.
    """
    held = {
        key: [np.asarray(each["vars"][str(n)]) for n in range(len(each["vars"]))]
        for key, each in group.items()
        if "vars" in each
    }
    counts: Counter[str] = Counter()
    for layer in backbone.layers:
        kind = _KINDS.get(type(layer))
        if kind is not None:
            key = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
            if key in held:
                yield _Layer(layer.name, held.pop(key))
    for key, arrays in held.items():
        yield _Layer(head.name if head is not None and key == "dense" else key, arrays)


def _texts(group: h5py.Group, key: str) -> list[str]:
    """Read a list of names; long ones are kept in parts: key0, key1 …."""
    keys = [key] if key in group.attrs else []
    while f"{key}{len(keys)}" in group.attrs:
        keys.append(f"{key}{len(keys)}")
    texts = [text for each in keys for text in group.attrs[each]]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _load_layers(
    backbone: keras.Model, found: Sequence[_Layer], file: Path, head: Head | None
) -> None:
    wanted = [layer for layer in backbone.layers if layer.weights]
    if any(_AUTOMATIC.match(layer.name) for layer in wanted):
        # Names that Keras counted up tell nothing (InceptionV3): the order does.
        pairs = list(zip(wanted, found, strict=False))
        missing = [layer.name for layer in wanted[len(found) :]]
        rest = list(found[len(wanted) :])
    else:
        by_name = {layer.name: layer for layer in found}
        names = [layer.name for layer in wanted]
        pairs = [(layer, by_name[layer.name]) for layer in wanted if layer.name in by_name]
        missing = [name for name in names if name not in by_name]
        rest = [layer for layer in found if layer.name not in names]
    if missing:
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise WeightsError(
            f"{file}: the layer {missing[0]!r} of {backbone.name}{more} is not in this file"
        )
    for layer, kept in pairs:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if shapes != [array.shape for array in kept.arrays]:
            raise WeightsError(
                f"{file}: the layer {kept.name!r} has the shapes"
                f" {[array.shape for array in kept.arrays]}, and {backbone.name} needs {shapes}"
            )
    _check_head(rest, file, head)
    for layer, kept in pairs:
        layer.set_weights(kept.arrays)


def _check_head(rest: Sequence[_Layer], file: Path, head: Head | None) -> None:
    if head is None:
        strange = [each.name for each in rest if each.arrays[0].ndim != 2]
        if strange:
            raise WeightsError(f"{file}: the layer {strange[0]!r} belongs to another network")
        return
    if [each.name for each in rest] != [head.name]:
        names = ", ".join(repr(each.name) for each in rest) or "nothing"
        raise WeightsError(f"{file}: above the backbone stands {names}, not the head {head.name!r}")
    shape = rest[0].arrays[0].shape
    if shape != (head.features, head.classes):
        raise WeightsError(
            f"{file}: the head {head.name!r} has the shape {shape}, and"
            f" {(head.features, head.classes)} is needed: these are other weights"
        )


def _download(make: Make, model: str) -> keras.Model:
    """Let Keras download ImageNet weights to its own cache (`KERAS_HOME`), or take them there."""
    try:
        return make("imagenet")
    except Exception as error:  # Keras raises no narrower class than this
        if "URL fetch failure" not in str(error):
            raise
        raise WeightsError(
            f"{model}: Keras could not download its ImageNet weights; give their file or folder"
            " (--weights), or start at random (--weights none)"
        ) from error
