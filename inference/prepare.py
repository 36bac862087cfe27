"""From a file to the network's input, in one call that a child process can run.

Whatever a file does to the decoders, what comes back is an input or a Refusal.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

import settings
from inference import elements
from inference.decode import decode, read_header
from inference.eligibility import Stated, check_header, check_pixels, stated
from inference.pixels import (
    InputForm,
    Letterbox,
    display_image,
    fine_display_image,
    network_input,
    pixel_aspect,
    spread_input,
)
from inference.reading import Refusal, RefusalCode, RefusedError

RECENT_BYTES = 64 * 2**20
"""Display images that a process remembers at most: some sixty films of 1024 x 1024."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A film ready for the network: `input` is (size, size) uint8, air black and bone white.

    `letterbox` leads back to the full image of `rows` x `columns` pixels. `stated` is what the
    header says of the film.
    """

    input: NDArray[np.uint8]
    letterbox: Letterbox
    rows: int
    columns: int
    sop_instance_uid: str
    stated: Stated


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be prepared: the largest image, in pixels, and which films at all."""

    max_pixels: int
    eligibility: settings.Eligibility


def prepare(path: Path, form: InputForm, limits: Limits) -> Prepared | Refusal:
    """Read, check, decode, show and bring one film to the form that a network takes.

    A file that breaks its decoder is refused as undecodable. Raises only what the file system
    raises.
    """
    try:
        return _prepare(path, form, limits)
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


@dataclass(frozen=True, slots=True)
class _File:
    """A film's file as it is now: whether it still is the one that was decoded."""

    path: str
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> _File:
        found = path.stat()
        return cls(str(path), found.st_size, found.st_mtime_ns)


class _Recent:
    """The display images decoded last, up to `limit` bytes: a film is drawn on soon after."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._images: OrderedDict[_File, NDArray[np.uint8]] = OrderedDict()
        self._size = 0

    def keep(self, path: Path, image: NDArray[np.uint8]) -> None:
        """Keep an image, and let the oldest go where there is no room for them."""
        file = _File.of(path)
        if file in self._images or image.nbytes > self._limit:
            return
        self._images[file] = image
        self._size += image.nbytes
        while self._size > self._limit:
            _, oldest = self._images.popitem(last=False)
            self._size -= oldest.nbytes

    def find(self, path: Path) -> NDArray[np.uint8] | None:
        """Return the image of a file that has not changed since, not to be written to."""
        return self._images.get(_File.of(path))


_recent = _Recent(RECENT_BYTES)


def display_again(path: Path, max_pixels: int) -> NDArray[np.uint8]:
    """Return a film's image as `load_display` does, without decoding it where it is remembered.

    Raises RefusedError.
    """
    kept = _recent.find(path)
    return load_display(path, max_pixels)[1] if kept is None else kept


def load_display(path: Path, max_pixels: int) -> tuple[Dataset, NDArray[np.uint8]]:
    """Read a film's header and its image as a radiologist sees it, to draw on.

    Raises RefusedError.
    """
    header, stored = decode(path, max_pixels=max_pixels)
    return header, display_image(header, stored)


def for_network(
    header: Dataset, stored: NDArray[Any], form: InputForm, display: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], Letterbox]:
    """Bring stored values, of which `display` is the display image, to a network's input."""
    aspect = pixel_aspect(header)
    if form.contrast == "as_shown":
        return network_input(display, form, pixel_aspect=aspect)
    return spread_input(fine_display_image(header, stored), form.size, pixel_aspect=aspect)


def _prepare(path: Path, form: InputForm, limits: Limits) -> Prepared | Refusal:
    refusal = check_header(read_header(path), limits.eligibility)
    if refusal is not None:
        return refusal
    header, stored = decode(path, max_pixels=limits.max_pixels)
    display = display_image(header, stored)
    refusal = check_pixels(display)
    if refusal is not None:
        return refusal
    fitted, box = for_network(header, stored, form, display)
    display.flags.writeable = False
    _recent.keep(path, display)
    rows, columns = display.shape
    uid = elements.text(header, "SOPInstanceUID")
    return Prepared(fitted, box, rows, columns, uid, stated(header))
