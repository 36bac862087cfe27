"""Films as we show them beside DCMTK's rendering: the mean difference of every file, in greys.

    python -m bench.rendering FOLDER...

DCMTK's `dcmj2pnm` and `dcml2pnm` apply the Modality LUT and the VOI LUT or window that the file
holds; a film without one is given the window that we choose for it. What DCMTK cannot decode
(JPEG 2000, HTJ2K) is given to it decoded. Files that hold no image are left out. Prints Markdown.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from bench.common import find_films, table
from inference import elements
from inference.decode import decode
from inference.pixels import AUTOMATIC_WINDOW_PERCENTILES, display_image
from inference.reading import RefusedError
from inference.voi import modality_values

MAX_PIXELS = 100_000_000
TOOLS = ("dcmj2pnm", "dcml2pnm")
_FUNCTIONS = {"SIGMOID": "+Wfs"}


@dataclass(frozen=True, slots=True)
class Compared:
    """Two renderings of a file: mean and largest difference in greys; `how` DCMTK made its own."""

    file: str
    how: str
    mean: float | None = None
    largest: int | None = None

    def row(self) -> list[str]:
        """Return a row of the table."""
        if self.mean is None:
            return [self.file, self.how, "-", "-"]
        return [self.file, self.how, f"{self.mean:.3f}", str(self.largest)]


def compare(path: Path, folder: Path) -> Compared | None:
    """Render a file both ways, with temporary files in `folder`; None where it holds no image."""
    try:
        header, stored = decode(path, max_pixels=MAX_PIXELS)
    except RefusedError:
        return None
    ours = display_image(header, stored)
    options = voi_options(header, stored)
    theirs = by_dcmtk(path, options, folder)
    how = " ".join(options)
    if theirs is None:
        plain = folder / "decoded.dcm"
        decoded(header, stored).save_as(plain, enforce_file_format=True, overwrite=True)
        theirs, how = by_dcmtk(plain, options, folder), f"decoded for it, {how}"
    name = f"{path.parent.name}/{path.name}"
    if theirs is None or theirs.shape != ours.shape:
        return Compared(name, "DCMTK does not render it")
    apart = np.abs(ours.astype(np.int16) - theirs)
    return Compared(name, how, float(apart.mean()), int(apart.max()))


def voi_options(header: Dataset, stored: NDArray[Any]) -> list[str]:
    """Say by which options DCMTK applies what the header asks for (PS3.3 C.11.2), or our window."""
    if stored.ndim == 3 or elements.text(header, "PhotometricInterpretation") == "PALETTE COLOR":
        return []
    if elements.items(header, "VOILUTSequence"):
        return ["+Wl", "1"]
    if elements.number(header, "WindowWidth") is not None:
        function = _FUNCTIONS.get(elements.text(header, "VOILUTFunction"), "+Wfl")
        return ["+Wi", "1", function]
    if stored.dtype == np.uint8:
        return ["-W"]
    shares = np.array(AUTOMATIC_WINDOW_PERCENTILES) / 100
    cells = stored.view(np.uint16)
    padding = elements.integer(header, "PixelPaddingValue")
    seen = stored if padding is None else stored[cells != padding % 65_536]  # of either sign
    low, high = np.quantile(modality_values(header, seen), shares, method="inverted_cdf")
    return ["+Ww", f"{(low + high + 1) / 2:g}", f"{high - low + 1:g}"]


def by_dcmtk(path: Path, options: Sequence[str], folder: Path) -> NDArray[np.uint8] | None:
    """Render by the first of DCMTK's tools that can: (rows, columns) uint8; None: none can."""
    picture = folder / "dcmtk.pnm"
    for tool in TOOLS:
        picture.unlink(missing_ok=True)
        done = subprocess.run(
            [tool, "-O", "+op", *options, str(path), str(picture)], capture_output=True, check=False
        )
        if done.returncode == 0 and picture.exists():
            grey = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
            return None if grey is None else np.asarray(grey, np.uint8)
    return None


def decoded(header: Dataset, stored: NDArray[Any]) -> Dataset:
    """Return what the header says of the picture, with the pixels uncompressed."""
    plain = Dataset()
    for group in (0x0028, 0x2050):
        plain.update(header.group_dataset(group))
    plain.SOPClassUID, plain.SOPInstanceUID = SecondaryCaptureImageStorage, UID("1.2.3")
    plain.file_meta = FileMetaDataset()
    plain.file_meta.MediaStorageSOPClassUID = plain.SOPClassUID
    plain.file_meta.MediaStorageSOPInstanceUID = plain.SOPInstanceUID
    plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if stored.ndim == 3:
        plain.PhotometricInterpretation, plain.PlanarConfiguration = "RGB", 0
    plain.BitsAllocated = 8 * stored.dtype.itemsize
    plain.add_new("PixelData", "OW" if stored.dtype.itemsize == 2 else "OB", stored.tobytes())
    return plain


def compare_all(paths: Iterable[Path]) -> Iterator[Compared]:
    """Compare the renderings of every file that holds an image."""
    with tempfile.TemporaryDirectory(prefix="hilum-bench-") as folder:
        for path in paths:
            compared = compare(path, Path(folder))
            if compared is not None:
                yield compared


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.rendering",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("folders", type=Path, nargs="+", help="folders of .dcm files")
    parser.add_argument("--worst", type=int, default=0, help="print only so many, the worst first")
    given = parser.parse_args()
    if not all(map(shutil.which, TOOLS)):
        sys.exit(f"needs DCMTK's {' and '.join(TOOLS)} (Debian: dcmtk)")
    found = list(compare_all(path for each in given.folders for path in find_films(each)))
    means = [each.mean for each in found if each.mean is not None]
    if given.worst:
        found = sorted(found, key=lambda each: -(each.mean or 0))[: given.worst]
    print(table(("file", "DCMTK's options", "mean", "largest"), (each.row() for each in found)))
    print(f"\n{len(means)} files; mean of the means {np.mean(means):.3f} greys.")


if __name__ == "__main__":
    main()
