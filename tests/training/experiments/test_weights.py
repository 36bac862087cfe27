"""Weight files are taken only where every layer fits; the message names the one that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from keras.src.legacy.saving import legacy_h5_format

from training.experiments import transfer
from training.experiments.weights import CHEXNET_HEAD, Head, WeightsError, find, load, start

HEAD = Head("predictions", 6, 4)


def backbone(width: int = 6, last: str = "conv_b") -> keras.Model:
    image = layers.Input((8, 8, 3))
    x = layers.Conv2D(5, 3, name="conv_a")(image)
    x = layers.BatchNormalization(name="bn_a")(x)
    x = layers.Conv2D(width, 3, name=last)(x)
    return keras.Model(image, layers.GlobalAveragePooling2D()(x), name="small")


def automatic() -> keras.Model:
    """Layers named by Keras's count, as InceptionV3's are."""
    image = layers.Input((8, 8, 3))
    x = layers.Conv2D(5, 3)(image)
    return keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3)(x)), name="auto")


def topped(below: keras.Model, head: Head = HEAD) -> keras.Model:
    top = layers.Dense(head.classes, name=head.name)
    return keras.Model(below.input, top(below.output))


def write_legacy(model: keras.Model, file: Path, *, group: str | None = None) -> Path:
    with h5py.File(file, "w") as opened:
        where = opened.create_group(group) if group else opened
        legacy_h5_format.save_weights_to_hdf5_group(where, model)
    return file


def write_keras_3(model: keras.Model, file: Path) -> Path:
    model.save_weights(file)
    return file


def same(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all((a == b).all() for a, b in pairs)


WRITERS: dict[str, Callable[[keras.Model, Path], Path]] = {
    "w.h5": write_legacy,
    "whole.h5": lambda model, file: write_legacy(model, file, group="model_weights"),
    "w.weights.h5": write_keras_3,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_form_of_file_gives_the_backbone_its_weights(tmp_path: Path, name: str) -> None:
    source = backbone()
    target = backbone()
    assert not same(source, target)
    load(target, WRITERS[name](source, tmp_path / name))
    assert same(source, target)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_with_the_right_head_is_taken_without_it(tmp_path: Path, name: str) -> None:
    source, target = backbone(), backbone()
    load(target, WRITERS[name](topped(source), tmp_path / name), head=HEAD)
    assert same(source, target)


def test_names_with_slashes_of_old_files_are_understood(tmp_path: Path) -> None:
    source, target = backbone(last="conv_b"), backbone()
    file = write_legacy(source, tmp_path / "w.h5")
    with h5py.File(file, "r+") as opened:
        opened.move("conv_b", "conv/b")
        names = [n.decode() if isinstance(n, bytes) else n for n in opened.attrs["layer_names"]]
        opened.attrs["layer_names"] = ["conv/b" if n == "conv_b" else n for n in names]
    load(target, file)
    assert same(source, target)


def test_layers_that_keras_named_by_counting_are_matched_in_order(tmp_path: Path) -> None:
    file = write_legacy(automatic(), tmp_path / "w.h5")
    source, target = automatic(), automatic()
    write_legacy(source, file)
    load(target, file)
    assert same(source, target)


@pytest.mark.parametrize(
    ("made", "head", "says"),
    [
        (lambda: backbone(last="conv_x"), None, "the layer 'conv_b' of small is not in this file"),
        (lambda: backbone(width=7), None, r"'conv_b' has the shapes .*7\), .*small needs .*6\)"),
        (lambda: backbone(), HEAD, "stands nothing, not the head 'predictions'"),
        (
            lambda: topped(backbone(), Head("fc", 6, 4)),
            HEAD,
            "stands 'fc', not the head 'predictions'",
        ),
        (
            lambda: topped(backbone(), Head("predictions", 6, 1000)),
            HEAD,
            r"'predictions' has the shape \(6, 1000\), and \(6, 4\) is needed",
        ),
        (automatic, None, "the layer 'conv_a' of small and 2 others is not in this file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_layer_and_nothing_is_loaded(
    tmp_path: Path, made: Callable[[], keras.Model], head: Head | None, says: str
) -> None:
    target = backbone()
    before = target.get_weights()
    file = write_legacy(made(), tmp_path / "w.h5")
    with pytest.raises(WeightsError, match=says) as raised:
        load(target, file, head=head)
    assert str(file) in str(raised.value)
    assert all((a == b).all() for a, b in zip(before, target.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("made", "head", "says"),
    [
        (lambda: backbone(width=7), None, r"'conv_b' has the shapes .*7\), .*small needs .*6\)"),
        (lambda: backbone(), HEAD, "stands nothing, not the head 'predictions'"),
        (lambda: topped(backbone(), Head("p", 6, 9)), HEAD, r"has the shape \(6, 9\)"),
        (lambda: automatic(), None, "the layer 'bn_a' of small is not in this file"),
    ],
)
def test_a_keras_3_file_that_does_not_fit_is_refused(
    tmp_path: Path, made: Callable[[], keras.Model], head: Head | None, says: str
) -> None:
    file = write_keras_3(made(), tmp_path / "w.weights.h5")
    with pytest.raises(WeightsError, match=says):
        load(backbone(), file, head=head)


def test_what_is_no_weight_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "w.h5"
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsError, match=r"w\.h5: cannot be read as HDF5"):
        load(backbone(), file)
    with h5py.File(file, "w") as opened:
        opened["films"] = np.zeros(3)
    with pytest.raises(WeightsError, match="no layers in it"):
        load(backbone(), file)


def test_a_folder_of_weights_is_searched_by_the_models_name(tmp_path: Path) -> None:
    for name in ("vgg16.h5", "mobilenet.weights.h5"):
        (tmp_path / name).touch()
    assert find(tmp_path, "vgg16").name == "vgg16.h5"
    assert find(tmp_path, "mobilenet").name == "mobilenet.weights.h5"
    assert find(tmp_path / "vgg16.h5", "resnet50").name == "vgg16.h5"
    with pytest.raises(WeightsError, match=r"no file resnet50\.h5 or resnet50\.weights\.h5"):
        find(tmp_path, "resnet50")


def offline(weights: str | None) -> keras.Model:
    """Builds as Keras does where there is no network."""
    if weights is not None:
        raise Exception("URL fetch failure on https://storage.example: None")
    return backbone()


def test_weights_come_from_where_the_experiment_or_the_person_says(tmp_path: Path) -> None:
    def online(weights: str | None) -> keras.Model:
        asked.append(weights)
        return backbone()

    asked: list[str | None] = []
    _, plain = start(online, "vgg16", "none", None, random_if_missing=False)
    _, loaded = start(online, "vgg16", "imagenet", None, random_if_missing=False)
    assert (plain.used, loaded.used, asked) == ("none", "imagenet", [None, "imagenet"])
    _, refused = start(offline, "vgg16", "imagenet", "none", random_if_missing=False)
    assert refused.remark == "started at random as asked, not from imagenet"
    source = backbone()
    file = write_legacy(source, tmp_path / "vgg16.h5")
    model, given = start(offline, "vgg16", "imagenet", str(tmp_path), random_if_missing=False)
    assert (given.used, given.file, given.remark) == ("file", file, None)
    assert same(source, model)


@pytest.mark.parametrize(
    ("wanted", "given", "says"),
    [
        ("imagenet", None, "could not download its ImageNet weights"),
        ("chexnet", None, "chexnet weights cannot be downloaded by program"),
        ("imagenet", "/nowhere", "/nowhere: no file vgg16.h5"),
    ],
)
def test_weights_that_cannot_be_had_fail_the_run_unless_random_ones_will_do(
    wanted: str, given: str | None, says: str
) -> None:
    with pytest.raises(WeightsError, match=says):
        start(offline, "vgg16", wanted, given, random_if_missing=False)
    _, started = start(offline, "vgg16", wanted, given, random_if_missing=True)
    assert started.used == "none"
    assert started.remark is not None
    assert started.remark.startswith("started at random: ")
    assert says in started.remark


def test_a_file_that_does_not_fit_fails_the_run_even_where_random_ones_would_do(
    tmp_path: Path,
) -> None:
    file = write_legacy(backbone(width=9), tmp_path / "vgg16.h5")
    with pytest.raises(WeightsError, match="has the shapes"):
        start(offline, "vgg16", "imagenet", str(file), random_if_missing=True)


def test_another_error_of_keras_is_not_taken_for_a_missing_download() -> None:
    def broken(_: str | None) -> keras.Model:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        start(broken, "vgg16", "imagenet", None, random_if_missing=True)


def test_chexnet_is_loaded_from_a_file_of_its_form(tmp_path: Path) -> None:
    def densenet() -> keras.Model:
        return transfer.BACKBONES["densenet121_chexnet"].make(
            input_shape=(32, 32, 3), include_top=False, weights=None, pooling="avg"
        )

    source = densenet()
    file = write_legacy(topped(source, CHEXNET_HEAD), tmp_path / "densenet121_chexnet.h5")
    how = transfer.How("chexnet", given=str(tmp_path), frozen=True)
    model, started = transfer.build("densenet121_chexnet", 32, how)
    assert started.file == file
    assert same(source, model.get_layer("densenet121"))
    imagenet = topped(source, Head("predictions", 1024, 1000))
    write_legacy(imagenet, file)
    with pytest.raises(WeightsError, match=r"\(1024, 1000\), and \(1024, 14\) is needed"):
        transfer.build("densenet121_chexnet", 32, how)
