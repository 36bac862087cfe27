"""The input pipeline: from an experiment's films to batches, with tf.data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut

from training.experiments import augment
from training.experiments.decoded import Pictures, np_resized, open_decoded
from training.experiments.selection import Indices, Selection
from training.experiments.spec import Augmentation, Data
from training.tables import Film

Colour = Literal["stacked", "pet"]
Watch = Callable[[int, int], None]

PET_PALETTE = "1.2.840.10008.1.5.2"
"""UID of the standard's PET colour palette (PS3.6 table A-1)."""
PREFETCHED = 2
"""Batches made ahead of the one that the network is at."""


@dataclass(frozen=True, slots=True)
class Source:
    """An experiment's pictures and targets, by the films' numbers in its selection.

    `read` gives grey pictures (n, size, size) uint8 from disk; `targets` is (films, ...) float32.
    """

    read: Callable[[Indices], Pictures]
    targets: NDArray[np.float32]
    size: int
    colour: Colour


@dataclass(frozen=True, slots=True)
class Order:
    """How films are shuffled into batches: as `seed` and the number of the epoch say, alone.

    So an epoch is the same whether a run came to it unbroken or was resumed.
    """

    batch: int
    seed: int
    first_epoch: int
    epochs: int

    def steps(self, films: int) -> int:
        """Batches in an epoch; the last may be smaller."""
        return -(-films // self.batch)

    def batches(self, which: Indices) -> Iterator[tuple[Indices, Indices]]:
        """Yield each batch's films, and the seed (2,) of what is drawn at random for it."""
        for epoch in range(self.first_epoch, self.epochs):
            shuffled = np.random.default_rng([self.seed, epoch]).permutation(which)
            for number in range(self.steps(len(which))):
                films = shuffled[number * self.batch : (number + 1) * self.batch]
                yield films, np.array([self.seed, epoch * len(which) + number], np.int64)


def open_source(
    films: list[Film],
    selection: Selection,
    data: Data,
    targets: NDArray[np.float32],
    cache_folder: Path,
    *,
    watch: Watch | None = None,
) -> Source:
    """Decode what is not on disk yet, and open an experiment's pictures.

    Args:
        films: All films of the folder, of which the selection took some.
        selection: The experiment's films.
        data: How films become pictures.
        targets: One row for each film of the selection.
        cache_folder: Where pictures are kept, for all experiments together.
        watch: Told how many films are decoded, and of how many.

    Raises:
        DataError: films cannot be decoded.
    """
    side = data.resize_from if data.resize == "np_resize" else data.size
    decoded = open_decoded(films, side, data.source, cache_folder)
    numbers = {film.id: number for number, film in enumerate(films)}
    places = np.array([numbers[film.id] for film in selection.films], np.int64)
    decoded.ensure(places, watch=watch)

    def read(which: Indices) -> Pictures:
        return decoded.read(places[which])

    def read_np_resized(which: Indices) -> Pictures:
        return np_resized(read, len(places), side, data.size, which)

    reader = read_np_resized if data.resize == "np_resize" else read
    return Source(reader, targets, data.size, data.colour)


def training_batches(
    source: Source, which: Indices, order: Order, augmentation: Augmentation | None
) -> tf.data.Dataset:
    """Pictures (B, size, size, 3) uint8 and targets, epoch after epoch, shuffled and moved."""
    made = tf.data.Dataset.from_generator(
        lambda: order.batches(which),
        output_signature=(tf.TensorSpec((None,), tf.int64), tf.TensorSpec((2,), tf.int64)),
    )

    def load(films: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _pictures(source, films, seed, augmentation), tf.gather(source.targets, films)

    return _ahead(made.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True))


def ordered_batches(source: Source, which: Indices, batch: int) -> tf.data.Dataset:
    """Pictures and targets of the films once, in the order of `which`, as they are."""

    def load(films: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _pictures(source, films, None, None), tf.gather(source.targets, films)

    made = tf.data.Dataset.from_tensor_slices(which).batch(batch)
    return _ahead(made.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True))


def colour(pictures: Pictures, how: Colour) -> Pictures:
    """Give grey pictures (n, S, S) three channels: the grey itself, or pydicom's PET palette."""
    if how == "pet":
        return np.take(pet_palette(), pictures, axis=0)
    return np.repeat(pictures[..., None], 3, axis=3)


@cache
def pet_palette() -> Pictures:
    """The standard's PET colour palette, (256, 3) uint8, from grey to colour."""
    greys = np.arange(256, dtype=np.uint8)
    return np.asarray(apply_color_lut(greys, palette=PET_PALETTE), np.uint8)


def _pictures(
    source: Source, films: tf.Tensor, seed: tf.Tensor | None, augmentation: Augmentation | None
) -> tf.Tensor:
    grey = tf.numpy_function(source.read, [films], tf.uint8, stateful=False)
    grey.set_shape((None, source.size, source.size))
    pictures = grey[..., tf.newaxis]
    if source.colour == "pet":
        pictures = tf.gather(tf.constant(pet_palette()), tf.cast(grey, tf.int32))
    if augmentation is not None and seed is not None:
        moves = augment.draw(tf.shape(pictures)[0], augmentation, seed)
        pictures = augment.move(pictures, moves)
    if source.colour == "stacked":
        pictures = tf.repeat(pictures, 3, axis=3)
    pictures.set_shape((None, source.size, source.size, 3))
    return pictures


def _ahead(batches: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    return batches.prefetch(PREFETCHED).with_options(options)
