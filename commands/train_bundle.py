"""`hilum train-bundle`: from folders of labelled films to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console

from commands.problem import ProblemError
from training.tables import TableError


def train_bundle(
    rsna: Path,
    nih: Path | None,
    weights: Path | None,
    to: Path,
    console: Console,
    *,
    version: str,
    size: Literal["small", "large"],
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"],
) -> None:
    """Train, measure and write a bundle; what is given is looked at before hours are spent.

    Raises:
        ProblemError: a folder or the weights are not there, or their tables cannot be used.
    """
    for folder in (rsna, nih):
        if folder is not None and not folder.is_dir():
            raise ProblemError(f"{folder}: no such folder")
    if weights is not None and not weights.is_file():
        raise ProblemError(f"{weights}: no such file of weights")

    from training.default_bundle import make_default_bundle  # loads TensorFlow

    try:
        make_default_bundle(
            rsna,
            nih,
            weights,
            to,
            version=version,
            size=size,
            precision=precision,
            say=console.print,
        )
    except TableError as error:
        raise ProblemError(str(error)) from None
