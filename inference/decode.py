"""From a DICOM file to its stored pixel values: what it declares is checked, then decoded.

What the values mean is the business of `inference.pixels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from inference import elements
from inference.codestream import FrameSize, with_guard, with_whole_spectrum
from inference.encapsulated import (
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_PROGRESSIVE,
    check_codestream,
    check_rle,
    join_fragments,
    syntax_of,
)
from inference.parse import HEADER_MAX_BYTES, PIXEL_DATA, Film, parse, parsing, read_pixel_data
from inference.reading import RefusalCode, RefusedError

# PS3.3 C.7.6.3.1.2, by samples per pixel.
_INTERPRETATIONS = {
    1: {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"},
    3: {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"},
}
PLUGINS: dict[UID, str] = {
    JPEGBaseline8Bit: "pylibjpeg",
    JPEGExtended12Bit: "pylibjpeg",
    JPEGLossless: "pylibjpeg",
    JPEGLosslessSV1: "pylibjpeg",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
    RLELossless: "pylibjpeg",
}
"""pydicom's name for the library that decodes a transfer syntax.

One for each, since where one library refuses damaged data another fills it in.
"""
_LONGEST_SIDE = 65_535
"""Rows and Columns are unsigned 16 bit (PS3.3 C.7.6.3)."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a header says of its pixels, checked."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    interpretation: str

    @property
    def native_bytes(self) -> int:
        """How many bytes the image takes uncompressed."""
        cells = self.rows * self.columns * self.samples
        if self.interpretation == "YBR_FULL_422":
            cells = cells // 3 * 2  # PS3.3 C.7.6.3.1.2: half the chrominance
        return cells * self.allocated // 8


def read_header(path: Path) -> Dataset:
    """Read all that stands before the pixel data, with `file_meta` (PS3.10 7).

    Files without preamble or file meta information are read too; `file_meta.TransferSyntaxUID` is
    then what the encoding shows. Raises RefusedError for what is not DICOM, holds no image, is cut
    off, or whose header is larger or more deeply nested than any honest one.
    """
    with parsing(), path.open("rb") as file:
        return parse(file, inflated_max_bytes=HEADER_MAX_BYTES + 1).header


def decode(path: Path, *, max_pixels: int) -> tuple[Dataset, NDArray[Any]]:
    """Read the header and the stored values of the one frame.

    The values are (rows, columns) integers of 8 or 16 bits (PALETTE COLOR: the indices), or
    (rows, columns, 3) uint8 RGB. What the header and the codestream declare is checked against
    `max_pixels` and against each other before anything is decoded. Raises RefusedError.
    """
    with parsing(), path.open("rb") as file:
        film = parse(file, inflated_max_bytes=HEADER_MAX_BYTES + 1)
        declared = _check_declared(film.header, max_pixels)
        deflated = film.syntax == DeflatedExplicitVRLittleEndian
        if deflated and declared.native_bytes > HEADER_MAX_BYTES // 2:  # not inflated to its end
            file.seek(0)
            film = parse(file, inflated_max_bytes=HEADER_MAX_BYTES + declared.native_bytes)
        image = _with_pixel_data(film, declared)
        if film.syntax.is_encapsulated:
            return film.header, _decode_encapsulated(film, image, declared, max_pixels)
        return film.header, _decode_native(film, image, declared)


def _check_declared(header: Dataset, max_pixels: int) -> _Declared:
    """Check what the header declares of its pixels (PS3.3 C.7.6.3) before they are read."""
    rows, columns = elements.integer(header, "Rows"), elements.integer(header, "Columns")
    if not rows or not columns:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The header's Rows or Columns are missing or zero."
        )
    if not (1 <= rows <= _LONGEST_SIDE and 1 <= columns <= _LONGEST_SIDE):
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The header's Rows or Columns cannot be those of an image."
        )
    if rows * columns > max_pixels:
        raise RefusedError(
            RefusalCode.TOO_LARGE,
            f"The image has {rows} x {columns} pixels, more than the {max_pixels} allowed.",
        )
    frames = elements.integer(header, "NumberOfFrames") or 1
    if frames > 1:
        raise RefusedError(
            RefusalCode.FRAMES, f"The image has {frames} frames; only single films are read."
        )
    if frames < 1:
        raise RefusedError(RefusalCode.UNDECODABLE, "The header's Number of Frames is negative.")
    samples = elements.integer(header, "SamplesPerPixel") or 1
    if samples not in (1, 3):
        raise RefusedError(
            RefusalCode.UNSUPPORTED, f"Images with {samples} samples per pixel are not supported."
        )
    interpretation = _interpretation(header, samples)
    allocated = elements.integer(header, "BitsAllocated")
    stored = elements.integer(header, "BitsStored")
    if allocated is None or stored is None:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The header does not say how many bits a pixel has."
        )
    if not 1 <= stored <= allocated:
        raise RefusedError(
            RefusalCode.UNDECODABLE,
            f"The header contradicts itself: Bits Stored is {stored}, Bits Allocated {allocated}.",
        )
    if allocated not in (8, 16):
        raise RefusedError(
            RefusalCode.UNSUPPORTED,
            f"Bits Allocated is {allocated}, which is not supported; films have 8 or 16.",
        )
    return _Declared(rows, columns, samples, allocated, stored, interpretation)


def _interpretation(header: Dataset, samples: int) -> str:
    """Photometric Interpretation, which must be one of as many samples (PS3.3 C.7.6.3.1.2)."""
    found = elements.text(header, "PhotometricInterpretation")
    if not found:
        raise RefusedError(
            RefusalCode.UNSUPPORTED,
            "The header has no Photometric Interpretation, so that nobody can tell bright from"
            " dark.",
        )
    if found not in _INTERPRETATIONS[samples]:
        known = ", ".join(sorted(_INTERPRETATIONS[samples]))
        raise RefusedError(
            RefusalCode.UNSUPPORTED,
            "The Photometric Interpretation is none of those that go with Samples per Pixel"
            f" {samples} ({known}).",
        )
    return found


def _with_pixel_data(film: Film, declared: _Declared) -> Dataset:
    """The header with its pixel data, and without what would make pydicom stumble."""
    image = Dataset()
    image.update(film.header)
    image.file_meta = film.header.file_meta
    image.set_original_encoding(film.syntax.is_implicit_VR, film.syntax.is_little_endian)
    image[PIXEL_DATA] = read_pixel_data(film)
    image.Rows, image.Columns = declared.rows, declared.columns
    image.SamplesPerPixel, image.NumberOfFrames = declared.samples, 1
    image.BitsAllocated, image.BitsStored = declared.allocated, declared.stored
    if "PixelRepresentation" not in image:
        image.PixelRepresentation = 0
    if declared.samples == 3 and "PlanarConfiguration" not in image:
        image.PlanarConfiguration = 0
    return image


def _decode_native(film: Film, image: Dataset, declared: _Declared) -> NDArray[Any]:
    found = len(image.PixelData)
    if found < declared.native_bytes:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The pixel data is cut off: it holds less than the image."
        )
    if found >= 2 * declared.native_bytes:
        raise RefusedError(
            RefusalCode.FRAMES,
            "The pixel data holds more than the one frame that its header tells of.",
        )
    return _values(image, film.syntax, declared)


def _decode_encapsulated(
    film: Film, image: Dataset, declared: _Declared, max_pixels: int
) -> NDArray[Any]:
    codestream = join_fragments(image.PixelData)
    if film.syntax == RLELossless:  # has no size of its own: its decoder fills the declared one
        check_rle(codestream, declared.samples * declared.allocated // 8)
        return _values(_with_frame(image, codestream, RLELossless), RLELossless, declared)
    size = check_codestream(
        codestream,
        rows=declared.rows,
        columns=declared.columns,
        samples=declared.samples,
        bits_allocated=declared.allocated,
        max_pixels=max_pixels,
    )
    codestream = with_whole_spectrum(codestream)
    if _is_grey_dct(size) and not image.PixelRepresentation:
        return _decode_grey_dct(codestream)
    syntax = syntax_of(size, film.syntax)
    return _values(_with_frame(image, with_guard(codestream), syntax), syntax, declared)


def _with_frame(image: Dataset, frame: bytes, syntax: UID) -> Dataset:
    """The image with its frame in one fragment, under the name of what it is encoded in."""
    image.PixelData = encapsulate([frame])
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    return image


def _is_grey_dct(size: FrameSize) -> bool:
    return (size.components, size.precision) == (1, 8) and size.jpeg_process in (
        JPEG_BASELINE,
        JPEG_EXTENDED,
        JPEG_PROGRESSIVE,
    )


def _decode_grey_dct(codestream: bytes) -> NDArray[np.uint8]:
    """Decode 8 bit grey JPEG by libjpeg-turbo: several times faster than the general way.

    `strict` refuses corrupt data, which OpenCV would decode as if the film were whole.
    """
    try:
        values = simplejpeg.decode_jpeg(codestream, "GRAY", strict=True)
    except ValueError:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The JPEG image is corrupt and cannot be decoded."
        ) from None
    return np.asarray(values[..., 0], dtype=np.uint8)


def _values(image: Dataset, syntax: UID, declared: _Declared) -> NDArray[Any]:
    """Decode by pydicom and the library that `PLUGINS` names for the transfer syntax."""
    high_bit = elements.integer(image, "HighBit")
    stored, allocated = declared.stored, declared.allocated
    raised = high_bit is not None and stored <= high_bit < allocated
    options: dict[str, Any] = {"allow_excess_frames": False}
    in_cells = not syntax.is_compressed or syntax == RLELossless
    if in_cells and raised:
        options["correct_unused_bits"] = False
    try:
        values, _ = get_decoder(syntax).as_array(
            image, index=0, decoding_plugin=PLUGINS.get(syntax, ""), **options
        )
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        # pydicom lists what each decoder said, one a line, below a line of its own.
        said = (str(error) or type(error).__name__).splitlines()[:2][-1].strip()[:150]
        if _tells_of_memory(said):
            raise MemoryError from error
        raise RefusedError(
            RefusalCode.UNDECODABLE, f"The pixel data cannot be decoded ({said})."
        ) from error
    if in_cells and raised and high_bit is not None:
        values = _from_high_bit(values, allocated - 1 - high_bit, allocated - stored)
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.ndim == 3 and values.dtype != np.uint8:
        values = (values >> max(stored - 8, 0)).astype(np.uint8)
    return np.asarray(values)


def _tells_of_memory(said: str) -> bool:
    """Tell whether a decoder ran out of memory, of whose error pydicom passes on the text alone.

    Python's MemoryError has none; NumPy's says what it could not allocate; libjpeg names memory.
    """
    return said.endswith(":") or "Unable to allocate" in said or "Out of free memory" in said


def _from_high_bit(values: NDArray[Any], left: int, right: int) -> NDArray[Any]:
    """Take the bits below an unusual High Bit (PS3.5 8.1.1), and their sign."""
    shifted: NDArray[Any] = np.right_shift(np.left_shift(values, left), right)
    return shifted
