"""From a DICOM file to its stored pixel values: what it declares is checked, then decoded.

What the values mean is the business of `inference.pixels`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import RLELossless

from inference import elements
from inference.codestream import FrameSize, frame_size, is_complete
from inference.parse import HEADER_MAX_BYTES, PIXEL_DATA, Film, parse, parsing
from inference.reading import RefusalCode, RefusedError

# PS3.3 C.7.6.3.1.2, by samples per pixel.
_INTERPRETATIONS = {
    1: {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"},
    3: {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"},
}
_JPEG_BASELINE_PROCESS = 0xC0


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
        # Six bytes a pixel is the most that is read (16 bit RGB).
        film = parse(file, inflated_max_bytes=HEADER_MAX_BYTES + 6 * max_pixels)
        _check_declared(film.header, max_pixels)
        image = _read_pixel_data(film)
        if film.syntax.is_encapsulated:
            return film.header, _decode_encapsulated(film, image, max_pixels)
        return film.header, _decode_native(film, image)


def _check_declared(header: Dataset, max_pixels: int) -> None:
    """Check what the header declares of its pixels (PS3.3 C.7.6.3) before they are read."""
    rows, columns = elements.integer(header, "Rows"), elements.integer(header, "Columns")
    if not rows or not columns:
        raise RefusedError(RefusalCode.UNDECODABLE, "The header lacks Rows or Columns.")
    if rows * columns > max_pixels:
        raise RefusedError(
            RefusalCode.TOO_LARGE,
            f"The image has {rows} x {columns} pixels, more than the {max_pixels} allowed.",
        )
    if (elements.integer(header, "NumberOfFrames") or 1) != 1:
        raise RefusedError(RefusalCode.FRAMES, "The image has more than one frame.")
    samples = elements.integer(header, "SamplesPerPixel") or 1
    if samples not in (1, 3):
        raise RefusedError(
            RefusalCode.UNSUPPORTED, f"Images with {samples} samples per pixel are not supported."
        )
    interpretation = elements.text(header, "PhotometricInterpretation")
    if interpretation not in _INTERPRETATIONS[samples]:
        raise RefusedError(
            RefusalCode.UNSUPPORTED,
            f"The photometric interpretation of the {samples} sample(s) per pixel is not known.",
        )
    allocated = elements.integer(header, "BitsAllocated")
    stored = elements.integer(header, "BitsStored")
    if allocated not in (8, 16) or stored is None or not 1 <= stored <= allocated:
        raise RefusedError(
            RefusalCode.UNSUPPORTED,
            f"Pixels of {stored} bits in cells of {allocated} bits are not supported.",
        )


def _read_pixel_data(film: Film) -> Dataset:
    """Read on from where the header ended; the pixel data in a data set with the header."""
    pixels = read_dataset(
        film.source,
        is_implicit_VR=film.syntax.is_implicit_VR,
        is_little_endian=film.syntax.is_little_endian,
        stop_when=lambda tag, _vr, _length: tag != PIXEL_DATA,
    )
    if "PixelData" not in pixels:
        raise RefusedError(RefusalCode.UNDECODABLE, "The pixel data is cut off.")
    if not pixels.PixelData:
        raise RefusedError(RefusalCode.NO_PIXELS, "The pixel data is empty.")
    image = Dataset()
    image.update(film.header)
    image.file_meta = film.header.file_meta
    image.set_original_encoding(film.syntax.is_implicit_VR, film.syntax.is_little_endian)
    image[PIXEL_DATA] = pixels[PIXEL_DATA]
    image.NumberOfFrames = 1
    if "SamplesPerPixel" not in image:
        image.SamplesPerPixel = 1
    if "PixelRepresentation" not in image:
        image.PixelRepresentation = 0
    return image


def _decode_native(film: Film, image: Dataset) -> NDArray[Any]:
    cells = image.Rows * image.Columns * image.SamplesPerPixel
    if image.get("PhotometricInterpretation") == "YBR_FULL_422":
        cells = cells // 3 * 2  # PS3.3 C.7.6.3.1.2: half the chrominance
    if len(image.PixelData) < cells * image.BitsAllocated // 8:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The pixel data is cut off: it holds less than the image."
        )
    return _values(film, image)


def _decode_encapsulated(film: Film, image: Dataset, max_pixels: int) -> NDArray[Any]:
    try:
        codestream = get_frame(image.PixelData, 0, number_of_frames=1)
    except (ValueError, EOFError) as error:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The compressed pixel data is cut off or damaged."
        ) from error
    if film.syntax == RLELossless:  # has no size of its own: its decoder fills the declared one
        return _values(film, image)
    size = frame_size(codestream)
    _check_codestream(size, image, max_pixels)
    if not is_complete(codestream):
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The compressed pixel data is cut off: its end is missing."
        )
    if size is not None and _is_baseline_grey(size) and not image.PixelRepresentation:
        return _decode_baseline_grey(codestream)
    return _values(film, image)


def _check_codestream(size: FrameSize | None, image: Dataset, max_pixels: int) -> None:
    if size is None:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The compressed pixel data is not what its syntax says."
        )
    if size.pixels > max_pixels:
        raise RefusedError(
            RefusalCode.TOO_LARGE,
            f"The compressed image has {size.rows} x {size.columns} pixels, "
            f"more than the {max_pixels} allowed.",
        )
    if (size.rows, size.columns) != (image.Rows, image.Columns):
        raise RefusedError(
            RefusalCode.UNDECODABLE,
            f"The compressed image has {size.rows} x {size.columns} pixels, "
            f"but the header says {image.Rows} x {image.Columns}.",
        )
    if size.components != image.SamplesPerPixel:
        raise RefusedError(
            RefusalCode.UNDECODABLE,
            f"The compressed image has {size.components} samples per pixel, "
            f"but the header says {image.SamplesPerPixel}.",
        )


def _is_baseline_grey(size: FrameSize) -> bool:
    return size.jpeg_process == _JPEG_BASELINE_PROCESS and (size.components, size.precision) == (
        1,
        8,
    )


def _decode_baseline_grey(codestream: bytes) -> NDArray[np.uint8]:
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


def _values(film: Film, image: Dataset) -> NDArray[Any]:
    """Decode by pydicom and the plugins it finds for the transfer syntax."""
    high_bit = elements.integer(image, "HighBit")
    stored, allocated = int(image.BitsStored), int(image.BitsAllocated)
    raised = high_bit is not None and stored <= high_bit < allocated
    options: dict[str, Any] = {"allow_excess_frames": False}
    in_cells = not film.syntax.is_compressed or film.syntax == RLELossless
    if in_cells and raised:
        options["correct_unused_bits"] = False
    try:
        values, _ = get_decoder(film.syntax).as_array(image, index=0, **options)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        # pydicom lists what each decoder said, one a line, below a line of its own.
        said = (str(error) or type(error).__name__).splitlines()[:2][-1].strip()[:150]
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


def _from_high_bit(values: NDArray[Any], left: int, right: int) -> NDArray[Any]:
    """Take the bits below an unusual High Bit (PS3.5 8.1.1), and their sign."""
    shifted: NDArray[Any] = np.right_shift(np.left_shift(values, left), right)
    return shifted
