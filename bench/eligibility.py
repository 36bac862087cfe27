"""How many films are refused, rightly and wrongly: real films, odd files, made pictures.

    python -m bench.eligibility ../shared/data [--bundle FOLDER]

The folder is laid out as docs/eligibility.md tells. Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.common import table
from inference.bundle import Bundle, load_bundle
from inference.eligibility import Stated, check_pixels
from inference.film_kind import check_film_kind
from inference.outcome import outcome
from inference.pixels import InputForm, network_input
from inference.predict import Predictor
from inference.prepare import Limits, Prepared, load_display, prepare
from inference.reading import Refusal, RefusedError
from settings import Eligibility
from training.body_parts import PARTS, side_chest
from training.drawing import expose
from training.film_changes import CHANGES, jittered
from training.other_pictures import PICTURES

MAX_PIXELS = 100_000_000
FRONTAL = {
    "fod__CR-MONO1-10-chest.dcm",
    "orth__Monochrome1-Jpeg.dcm",
    "pydd__RG1_J2KI.dcm",
    "txv__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm",
}
"""The upright frontal chests of adults among the odd files."""
ODD = ("dicom_cxr", "dicom_syntax", "dicom_hostile")
SILENT = Stated(chest=False, frontal=False, upright=False)
SEED = 20_000
"""Far from the seeds that training draws with."""


@dataclass(slots=True)
class Count:
    """Films of one sort: how many, how many were refused, by which reasons."""

    films: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    def add(self, said: object) -> None:
        """Count what became of one film."""
        self.films += 1
        if isinstance(said, Refusal):
            self.codes[said.code.value] += 1

    def row(self, what: str, note: str) -> list[str]:
        """Return a row of the table."""
        refused = self.codes.total()
        share = f"{refused} ({refused / self.films:.1%})" if self.films else "-"
        reasons = ", ".join(f"{code} {n}" for code, n in self.codes.most_common())
        return [what, str(self.films), share, reasons, note]


class Judge:
    """Says of a file or a picture what the service would say."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.predictor = Predictor(bundle)
        self._limits = Limits(MAX_PIXELS, Eligibility())

    def file(self, path: Path) -> object:
        """Return the Reading or Refusal of a file, by header and picture."""
        prepared = prepare(path, self.bundle.input_form, self._limits)
        if not isinstance(prepared, Prepared):
            return prepared
        (raw,) = self.predictor.predict(prepared.input[None])
        return outcome(raw, prepared, self.bundle)

    def picture(self, square: NDArray[np.uint8]) -> Refusal | None:
        """Return the Refusal of a picture whose header says nothing; None where it is read."""
        (raw,) = self.predictor.predict(square[None])
        if raw.kinds is None or self.bundle.film_kinds is None:
            sys.exit(f"{self.bundle.label} does not tell kinds: name another bundle with --bundle")
        return check_film_kind(raw.kinds, SILENT, self.bundle.film_kinds, self.bundle.label)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of real films and odd files")
    parser.add_argument(
        "--bundle", type=Path, default=None, help="model; default: the packaged one"
    )
    parser.add_argument("--each", type=int, default=10, help="made pictures of each sort")
    given = parser.parse_args(arguments)
    judge = Judge(load_bundle(given.bundle))
    rows = [
        *_real(judge, given.data),
        *_odd(judge, given.data),
        *_made(judge, given.data, given.each),
    ]
    print(table(["what", "films", "refused", "reasons", "in training"], rows))
    if judge.bundle.film_kinds is not None:
        print()
        figures = judge.bundle.film_kinds.figures.values()
        told = [[m.of, f"{m.value:.2%}", f"{m.low:.2%} to {m.high:.2%}"] for m in figures]
        print(table(["out-of-fold, as the bundle says", "share", "95 % interval"], told))


def _real(judge: Judge, data: Path) -> Iterator[list[str]]:
    for name, note in (("train", "yes"), ("test", "no")):
        folder = data / "rsna_mini" / f"stage_2_{name}_images"
        yield _counted(map(judge.file, sorted(folder.glob("*.dcm")))).row(
            f"real frontal films, rsna_mini {name}", note
        )


def _odd(judge: Judge, data: Path) -> Iterator[list[str]]:
    """Files of all sorts: as they are, and their pictures alone where they can be decoded."""
    paths = [path for name in ODD for path in sorted((data / name).glob("*.dcm"))]
    chests = [path for path in paths if path.name in FRONTAL]
    yield _counted(map(judge.file, chests)).row("real frontal films, other sources", "no")
    for name in ODD:
        others = [p for p in paths if p.parent.name == name and p.name not in FRONTAL]
        yield _counted(map(judge.file, others)).row(
            f"{name}, all but those: header and picture", "no"
        )
    squares = _squares((p for p in paths if p.name not in FRONTAL), judge.bundle.input_form)
    yield _counted(map(judge.picture, squares)).row("the same that decode: picture alone", "no")


def _squares(paths: Iterable[Path], form: InputForm) -> Iterator[NDArray[np.uint8]]:
    for path in paths:
        try:
            _, display = load_display(path, MAX_PIXELS)
        except (RefusedError, ValueError, AttributeError, RuntimeError):
            continue
        if check_pixels(display) is None:
            yield network_input(display, form)[0]


def _made(judge: Judge, data: Path, each: int) -> Iterator[list[str]]:
    """Changed real films that were never trained on, and drawings of new seeds."""
    size = judge.bundle.input_size
    rng = np.random.default_rng(SEED)
    films = sorted((data / "rsna_mini" / "stage_2_test_images").glob("*.dcm"))
    squares = list(_squares(films, judge.bundle.input_form))
    for name, (kind, change) in CHANGES.items():
        changed = (jittered(change(square, rng), rng) for square in squares)
        yield _counted(map(judge.picture, changed)).row(
            f"test films {name} ({kind})", "others, made alike"
        )
    drawn = {"side": side_chest, **PARTS}
    for name, draw in drawn.items():
        pictures = (jittered(expose(rng, draw(rng), size), rng) for _ in range(each))
        yield _counted(map(judge.picture, pictures)).row(f"drawn: {name}", "others, drawn alike")
    for name, picture in PICTURES.items():
        resized = (
            np.asarray(cv2.resize(picture(rng), (size, size)), np.uint8) for _ in range(each)
        )
        yield _counted(map(judge.picture, resized)).row(f"drawn: {name}", "others, drawn alike")


def _counted(outcomes: Iterable[object]) -> Count:
    count = Count()
    for said in outcomes:
        count.add(said)
    return count


if __name__ == "__main__":
    main()
