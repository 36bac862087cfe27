"""Films are decoded once, kept on disk as grey pictures, and read from there a few at a time.

One file holds the pictures of one size of all films of a folder, whichever experiments use them; it
takes no more space than the pictures made so far, and is never in memory as a whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.pixels import letterbox, pixel_aspect
from inference.prepare import load_display
from inference.reading import RefusedError
from training.experiments.selection import DataError
from training.tables import Film

Source = Literal["dicom", "jpeg"]
Pictures = NDArray[np.uint8]

MAX_PIXELS = 100_000_000
JPEG_QUALITY = 95
"""OpenCV's default, and so probably what the report converted its films with."""
_VERSION = 1
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pictures of all films of a folder: `films` in their order, `size` pixels a side.

    `pixels` is the file of pictures, (films, size, size) uint8; `made` has a byte for each film,
    1 once its picture is on disk.
    """

    films: tuple[Film, ...]
    size: int
    source: Source
    pixels: Path
    made: Path

    @property
    def area(self) -> int:
        """Pixels, and so bytes, of one picture."""
        return self.size**2

    def ensure(
        self, which: NDArray[np.int64], *, watch: Callable[[int, int], None] | None = None
    ) -> int:
        """Decode those of the films that are not on disk yet; return how many that were.

        `watch` is told how many are done, and of how many.

        Raises:
            DataError: films cannot be decoded.
        """
        flags = np.frombuffer(self.made.read_bytes(), np.uint8)
        missing = np.unique(which[flags[which] == 0])
        refused: list[str] = []
        with (
            self.pixels.open("r+b") as pixels,
            self.made.open("r+b") as made,
            ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
        ):
            for start in range(0, len(missing), _CHUNK):
                chunk = missing[start : start + _CHUNK]
                reasons = list(pool.map(lambda k: self._make(k, pixels.fileno()), chunk))
                os.fdatasync(pixels.fileno())
                for k, reason in zip(chunk, reasons, strict=True):
                    if reason is None:
                        os.pwrite(made.fileno(), b"\1", int(k))
                    else:
                        refused.append(reason)
                if watch is not None:
                    watch(start + len(chunk), len(missing))
        if refused:
            raise DataError(
                f"{len(refused)} films cannot be decoded, the first because: {refused[0]}"
                " `hilum data check` names them"
            )
        return len(missing)

    def read(self, which: NDArray[np.int64]) -> Pictures:
        """Return the pictures of the given films, (n, size, size); they must be on disk."""
        pictures = np.empty((len(which), self.size, self.size), np.uint8)
        with self.pixels.open("rb") as file:
            for picture, k in zip(pictures, which, strict=True):
                row = os.pread(file.fileno(), self.area, int(k) * self.area)
                if len(row) != self.area:
                    raise DataError(f"{self.pixels}: cut off; delete it, and it is made anew")
                picture[:] = np.frombuffer(row, np.uint8).reshape(picture.shape)
        return pictures

    def _make(self, k: np.int64, pixels: int) -> str | None:
        """Decode one film into the open file of pictures; return why, where that cannot be."""
        try:
            made = picture(self.films[int(k)].path, self.size, self.source)
        except (RefusedError, DataError) as error:
            return str(error)
        except OSError as error:
            return f"its file cannot be read: {error.strerror}."
        os.pwrite(pixels, made.tobytes(), int(k) * self.area)
        return None


def open_decoded(films: Sequence[Film], size: int, source: Source, folder: Path) -> Decoded:
    """Open the pictures of a folder's films, without decoding any.

    Other films, files that changed, another size or source: another file of pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = f"{fingerprint(films)}-{source}-{size}"
    found = Decoded(tuple(films), size, source, folder / f"{key}.pixels", folder / f"{key}.made")
    for file, length in ((found.pixels, len(films) * size**2), (found.made, len(films))):
        with file.open("ab") as stream:
            stream.truncate(length)
    return found


def fingerprint(films: Sequence[Film]) -> str:
    """Tell one folder's films from another's: by their paths, sizes and times, not by pixels."""
    digest = hashlib.sha256(str(_VERSION).encode())
    for film in films:
        stat = film.path.stat()
        digest.update(f"{film.path.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def picture(path: Path, size: int, source: Source) -> Pictures:
    """Read one film as (size, size) uint8, air black and bone white.

    A DICOM film is shown as a radiologist sees it, which leaves the challenge's 8 bit films as they
    are. With the source "jpeg", a DICOM film goes through JPEG at full size first, as in the
    report.

    Raises:
        RefusedError: the DICOM file cannot be read.
        DataError: a JPEG file cannot be read, or stands where DICOM is wanted.
    """
    aspect = 1.0
    if path.suffix.lower() == ".dcm":
        header, image = load_display(path, MAX_PIXELS)
        aspect = pixel_aspect(header)
        if source == "jpeg":
            image = _through_jpeg(image)
    elif source == "dicom":
        raise DataError("it is a JPEG file, and this experiment reads DICOM.")
    else:
        found = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if found is None:
            raise DataError("it is no readable JPEG file.")
        image = np.asarray(found, np.uint8)
    return letterbox(image, size, pixel_aspect=aspect)[0]


def np_resized(
    read: Callable[[NDArray[np.int64]], Pictures],
    count: int,
    side: int,
    size: int,
    which: NDArray[np.int64],
) -> Pictures:
    """Return pictures `which` of `np.resize(pictures, (count, size, size))`: the report's mistake.

    `np.resize` does not scale. It lays all pixels of the array in one row and cuts that anew, so
    that picture i begins (size / side)² i pictures into the source, and repeats the row where it
    ends. Only the few source pictures that are needed are read.

    Args:
        read: Reads source pictures, (n, side, side), by their numbers.
        count: How many source pictures there are.
        side: Their side in pixels.
        size: Side of the pictures that are made.
        which: Numbers of the pictures to make.
    """
    area = size * size
    pictures = np.empty((len(which), area), np.uint8)
    for made, number in zip(pictures, which, strict=True):
        places = (int(number) * area + np.arange(area)) % (count * side * side)
        sources, pixels = np.divmod(places, side * side)
        needed, at = np.unique(sources, return_inverse=True)
        made[:] = read(needed).reshape(len(needed), -1)[at, pixels]
    return pictures.reshape(-1, size, size)


def _through_jpeg(image: Pictures) -> Pictures:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)
