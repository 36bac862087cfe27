"""A trained network becomes a bundle: SavedModel, golden input and output, model card."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from inference.bundle import Bundle, Golden, write_bundle
from inference.calibration import softmax
from inference.kept import OutOfFold
from inference.manifest import Manifest
from training.networks import Network, whole


def export_bundle(
    path: Path,
    network: Network,
    manifest: Manifest,
    *,
    members: Sequence[keras.Model] | None = None,
    kinds: keras.Model | None = None,
    mirrored: bool = False,
    golden: NDArray[np.uint8],
    model_card: str,
    model_card_html: str | None = None,
    out_of_fold: OutOfFold | None = None,
) -> Bundle:
    """Write `network` as a bundle at `path`; needs the TensorFlow backend.

    `members` are heads in place of the network's own, `kinds` tells what kind of picture a film is,
    `mirrored` has each film read mirrored too (see `networks.whole`). `golden` is (n, size, size)
    uint8, films that may be given away; the output recorded for it is TensorFlow's.
    """
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "network"
        model = whole(network, members, kinds, mirrored=mirrored)
        save_network(model, saved)
        found = {name: np.asarray(v) for name, v in model(golden[..., None]).items()}
        return write_bundle(
            path,
            manifest,
            network=saved,
            golden=Golden(
                inputs=golden,
                probabilities=softmax(found["logits"]).astype(np.float32),
                boxes=found["boxes"],
                scores=found["scores"],
                kinds=(softmax(found["kinds"]).astype(np.float32) if "kinds" in found else None),
            ),
            model_card=model_card,
            model_card_html=model_card_html,
            out_of_fold=out_of_fold,
        )


def save_network(model: keras.Model, folder: Path) -> None:
    """Write `model` as a SavedModel with a free batch size; needs the TensorFlow backend.

    This is what `model.export` does, less its second copy of every weight: an endpoint that is
    added without tracking the model saves the variables that it uses, once.
    """
    archive = keras.export.ExportArchive()
    (image,) = model.inputs
    signature = [keras.InputSpec(shape=(None, *image.shape[1:]), dtype=image.dtype, name="image")]
    archive.add_endpoint("serve", lambda x: model(x, training=False), input_signature=signature)
    archive.write_out(folder, verbose=False)
    shutil.rmtree(folder / "assets", ignore_errors=True)
