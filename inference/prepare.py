"""From a file to the network's input, in one call that a child process can run.

Whatever a file does to the decoders, what comes back is an input or a Refusal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

import settings
from inference import elements
from inference.decode import decode, read_header
from inference.eligibility import check_header, check_pixels
from inference.pixels import Letterbox, display_image, letterbox, pixel_aspect
from inference.reading import Refusal, RefusalCode, RefusedError


@dataclass(frozen=True, slots=True)
class Prepared:
    """A film ready for the network: `input` is (size, size) uint8, air black and bone white.

    `letterbox` leads back to the full image of `rows` x `columns` pixels.
    """

    input: NDArray[np.uint8]
    letterbox: Letterbox
    rows: int
    columns: int
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be prepared: the largest image, in pixels, and which films at all."""

    max_pixels: int
    eligibility: settings.Eligibility


def prepare(path: Path, size: int, limits: Limits) -> Prepared | Refusal:
    """Read, check, decode, show and fit one film into a (size, size) square.

    A file that breaks its decoder is refused as undecodable. Raises only what the file system
    raises.
    """
    try:
        return _prepare(path, size, limits)
    except RefusedError as refused:
        return refused.refusal
    except MemoryError:
        return Refusal(
            RefusalCode.UNDECODABLE, "Decoding the image needs more memory than is allowed."
        )
    except OSError:
        raise
    except Exception as error:
        return Refusal(
            RefusalCode.UNDECODABLE,
            f"The image cannot be decoded: its decoder says {type(error).__name__}.",
        )


def load_display(path: Path, max_pixels: int) -> tuple[Dataset, NDArray[np.uint8]]:
    """Read a film's header and its image as a radiologist sees it, to draw on.

    Raises RefusedError.
    """
    header, stored = decode(path, max_pixels=max_pixels)
    return header, display_image(header, stored)


def _prepare(path: Path, size: int, limits: Limits) -> Prepared | Refusal:
    refusal = check_header(read_header(path), limits.eligibility)
    if refusal is not None:
        return refusal
    header, display = load_display(path, limits.max_pixels)
    refusal = check_pixels(display)
    if refusal is not None:
        return refusal
    fitted, box = letterbox(display, size, pixel_aspect=pixel_aspect(header))
    rows, columns = display.shape
    uid = elements.text(header, "SOPInstanceUID")
    return Prepared(fitted, box, rows, columns, uid)
