"""A bundle whose network says the same of every film: real, and next to no work.

python -m tests.faults.light_bundle FOLDER
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from inference.bundle import Golden, write_bundle
from inference.calibration import softmax
from tests.inference.bundles import manifest
from tests.peers import ROOT

SIDE = 64
LOGITS = (9.0, 0.0, 0.0)


def light_bundle(folder: Path) -> Path:
    """Make the bundle in a process of its own, which takes TensorFlow's memory with it."""
    command = [sys.executable, "-m", __name__, str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def write(folder: Path) -> None:
    """Make the network and the bundle around it."""
    import tensorflow as tf

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 1], tf.uint8)])
        def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            grey = tf.reduce_mean(tf.cast(image, tf.float32), axis=[1, 2, 3])[:, None]
            nothing = grey * 0.0
            return {
                "logits": nothing + tf.constant([LOGITS]),
                "boxes": (nothing + tf.constant([[0.0, 0.0, 9.0, 9.0]]))[:, None, :],
                "scores": nothing,
            }

    network = Network()
    with tempfile.TemporaryDirectory() as name:
        tf.saved_model.save(network, name, signatures=network.__call__)
        golden = Golden(
            inputs=np.zeros((1, SIDE, SIDE), np.uint8),
            probabilities=softmax(np.array([LOGITS])).astype(np.float32),
            boxes=np.array([[[0, 0, 9, 9]]], np.float32),
            scores=np.zeros((1, 1), np.float32),
        )
        write_bundle(
            folder,
            manifest(id="light", input_size=SIDE),
            network=Path(name),
            golden=golden,
            model_card="# Light\n",
        )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
