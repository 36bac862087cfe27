"""Batches of pictures are turned, shifted, sheared, zoomed and mirrored at random, in TensorFlow.

The moves are those of Keras's ImageDataGenerator, which the report used; here they come from a seed
alone, and a whole batch is moved at once.
"""

from __future__ import annotations

import math

import tensorflow as tf

from training.experiments.spec import Augmentation

MOVES = 7
"""Columns of `draw`: rotation, shift right, shift down, shear, zoom right, zoom down, mirrored."""


def draw(count: int | tf.Tensor, how: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Draw the moves of `count` pictures: (count, MOVES), uniform in the ranges of `how`.

    Angles are in radians, shifts parts of the picture's side, zooms factors, mirrored 0 or 1.
    `seed` is (2,) int64; the same seed gives the same moves.
    """
    rotation, shear = math.radians(how.rotation), math.radians(how.shear)
    reach = [rotation, how.width_shift, how.height_shift, shear, how.zoom, how.zoom]
    middle = tf.constant([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    drawn = tf.random.stateless_uniform((count, MOVES), seed, -1.0, 1.0)
    moves = middle + drawn[:, :6] * tf.constant(reach)
    mirrored = tf.cast(drawn[:, 6:] < 0, tf.float32) * float(how.flip)
    return tf.concat([moves, mirrored], axis=1)


def move(pictures: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """Move pictures (B, S, S, C) uint8 by moves as `draw` gives them, about their middle.

    Bilinear; what comes in from outside has the value of the nearest edge.
    """
    side = tf.cast(tf.shape(pictures)[1], tf.float32)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pictures, tf.float32),
        transforms=_transforms(moves, side),
        output_shape=tf.shape(pictures)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.cast(tf.round(moved), tf.uint8)


def _transforms(moves: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """From a place in the moved picture to one in the picture, (B, 8) as TensorFlow takes it.

    ImageDataGenerator's order: rotation, shift, shear, zoom, about the picture's middle, and the
    mirror last.
    """
    turn, right, down, shear, zoom_right, zoom_down, mirrored = tf.unstack(moves, axis=1)
    sine, cosine = tf.sin(turn), tf.cos(turn)
    # Rows of rotation @ shift @ shear @ zoom, for (right, down, 1).
    a, b = cosine * zoom_right, -tf.sin(turn + shear) * zoom_down
    c, d = sine * zoom_right, tf.cos(turn + shear) * zoom_down
    middle = side / 2 - 0.5
    from_right = middle - (a + b) * middle + (cosine * right - sine * down) * side
    from_down = middle - (c + d) * middle + (sine * right + cosine * down) * side
    # The mirror comes last: it acts on places in the moved picture.
    from_right += a * mirrored * (side - 1)
    from_down += c * mirrored * (side - 1)
    sign = 1 - 2 * mirrored
    zero = tf.zeros_like(a)
    return tf.stack([a * sign, b, from_right, c * sign, d, from_down, zero, zero], axis=1)
