"""How many films a second decoders read, beside each other, one film after the other.

    python -m bench.decode --films FOLDER --count 100

Ours, which checks what a film declares before it decodes it; pydicom's `pixel_array`; and, where
all films are JPEG Baseline, the frame alone by simplejpeg, OpenCV and `tf.io.decode_jpeg`. Figures
are medians of the rounds, in each of which every decoder reads the same films. The record is kept
in runs/.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGBaseline8Bit

from bench.common import find_films, keep, machine, median, table
from inference.decode import decode
from inference.reading import RefusedError

Decoder = Callable[[Path], Any]
MAX_PIXELS = 50_000_000


def main() -> None:
    """Measure, print a table, keep the record."""
    arguments = _arguments()
    films = [film for film in find_films(arguments.films) if _is_read(film)][: arguments.count]
    if not films:
        raise SystemExit(f"{arguments.films}: no film here can be decoded")
    decoders = _decoders(films)
    rounds = []
    for number in range(arguments.rounds + 1):
        found = {name: _rate(decoder, films) for name, decoder in decoders.items()}
        if number:  # the first warms up
            rounds.append(found)
    medians = {name: median(each[name] for each in rounds) for name in decoders}
    about = machine()
    record = {"machine": about, "films": len(films), "medians": medians, "rounds": rounds}
    path = keep("decode", record)
    print(
        f"{about['cores']} cores of {about['processor']}, load {about['load']:.1f};"
        f" {len(films)} films, medians of {arguments.rounds} rounds.\n"
    )
    base = medians["pixel_array"]
    rows = [(name, f"{rate:.0f}", f"{rate / base:.2f}") for name, rate in medians.items()]
    print(table(("decoder", "films/s", "x pixel_array"), rows))
    print(f"\nKept in {path}")


def _decoders(films: Sequence[Path]) -> dict[str, Decoder]:
    found: dict[str, Decoder] = {"Hilum": _ours, "pixel_array": _pixel_array}
    headers = [dcmread(film, stop_before_pixels=True) for film in films]
    if all(each.file_meta.TransferSyntaxUID == JPEGBaseline8Bit for each in headers):
        import tensorflow as tf

        found["simplejpeg"] = lambda film: simplejpeg.decode_jpeg(_frame(film), "GRAY")
        found["OpenCV"] = lambda film: cv2.imdecode(
            np.frombuffer(_frame(film), np.uint8), cv2.IMREAD_GRAYSCALE
        )
        found["tf.io.decode_jpeg"] = lambda film: tf.io.decode_jpeg(_frame(film), 1).numpy()
    return found


def _pixel_array(film: Path) -> Any:
    return dcmread(film).pixel_array


def _ours(film: Path) -> Any:
    return decode(film, max_pixels=MAX_PIXELS)


def _frame(film: Path) -> bytes:
    """Return a film's one frame, still encoded; reading the file is part of every figure."""
    return next(generate_frames(dcmread(film).PixelData, number_of_frames=1))


def _is_read(film: Path) -> bool:
    try:
        _ours(film)
    except RefusedError:
        return False
    return True


def _rate(decoder: Decoder, films: Sequence[Path]) -> float:
    begin = time.perf_counter()
    for film in films:
        decoder(film)
    return len(films) / (time.perf_counter() - begin)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.decode", description=__doc__)
    parser.add_argument("--films", type=Path, required=True, help="folder of .dcm films")
    parser.add_argument("--count", type=int, default=100, help="films a round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
