"""Films are decoded once and kept as the network sees them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.decode import decode
from inference.pixels import InputForm, Letterbox, display_image, network_input
from inference.prepare import for_network
from inference.reading import RefusalCode, RefusedError
from training.tables import Film

MAX_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Square:
    """A film as the network sees it: `image` is (size, size) uint8, made just as in serving.

    `rows` and `columns` are the stored image's size, `view` its View Position ("" if unknown).
    """

    image: NDArray[np.uint8]
    letterbox: Letterbox
    rows: int
    columns: int
    view: str

    def corners(self, film: Film) -> NDArray[np.float32]:
        """The film's known boxes as (n, 4) x0, y0, x1, y1 in pixels of `image`."""
        boxes = [self.letterbox.to_input(x, y, x + w, y + h) for x, y, w, h in film.boxes or ()]
        return np.array(boxes, np.float32).reshape(-1, 4)


def load_squares(films: Sequence[Film], form: InputForm, folder: Path) -> list[Square]:
    """Return the films in the network's form, decoding those that are not in `folder` yet."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_load(film, form, folder) for film in films]


def make_square(film: Film, form: InputForm) -> Square:
    """Decode one film.

    Raises:
        RefusedError: it cannot be decoded.
    """
    if film.path.suffix.lower() == ".dcm":
        header, stored = decode(film.path, max_pixels=MAX_PIXELS)
        image = display_image(header, stored)
        square, box = for_network(header, stored, form, image)
        view = str(header.get("ViewPosition") or "")
        return Square(square, box, image.shape[0], image.shape[1], view)
    picture = cv2.imread(str(film.path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise RefusedError(RefusalCode.UNDECODABLE, "The image cannot be decoded.")
    square, box = network_input(np.asarray(picture, np.uint8), form)
    return Square(square, box, picture.shape[0], picture.shape[1], "")


def fingerprint(films: Sequence[Film], squares: Sequence[Square]) -> str:
    """SHA-256 over labels, boxes and pixels of the films, in order."""
    return _fingerprint(films, (square.image for square in squares))


def fingerprint_of(films: Sequence[Film], form: InputForm) -> str:
    """`fingerprint` of films that are decoded here, one at a time.

    Raises:
        RefusedError: a film cannot be decoded.
    """
    return _fingerprint(films, (make_square(film, form).image for film in films))


def _fingerprint(films: Iterable[Film], images: Iterable[NDArray[np.uint8]]) -> str:
    digest = hashlib.sha256()
    for film, image in zip(films, images, strict=True):
        digest.update(repr((film.id, film.patient, film.label, film.boxes)).encode())
        digest.update(image.tobytes())
    return digest.hexdigest()


def _load(film: Film, form: InputForm, folder: Path) -> Square:
    stat = film.path.stat()
    key = f"{film.path.resolve()} {stat.st_size} {stat.st_mtime_ns} {form}"
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
    try:
        with np.load(file, allow_pickle=False) as kept:
            scale_x, scale_y, offset_x, offset_y = kept["letterbox"].tolist()
            rows, columns = kept["shape"].tolist()
            box = Letterbox(scale_x, scale_y, offset_x, offset_y, form.size)
            return Square(kept["image"], box, rows, columns, str(kept["view"]))
    except (FileNotFoundError, zipfile.BadZipFile):  # not made yet, or cut off while it was made
        square = make_square(film, form)
    place = [getattr(square.letterbox, name) for name in ("scale_x", "scale_y")]
    place += [square.letterbox.offset_x, square.letterbox.offset_y]
    shape = [square.rows, square.columns]
    np.savez(file, image=square.image, letterbox=place, shape=shape, view=square.view)
    return square
