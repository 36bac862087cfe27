"""From a DICOM file to its header and stored pixel values: bounded parsing, checks, decoders.

What the values mean is the business of `inference.pixels`.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pydicom.valuerep import VR

from inference import elements
from inference.codestream import FrameSize, frame_size, is_complete
from inference.reading import RefusalCode, RefusedError
from settings import TRANSFER_SYNTAXES

HEADER_MAX_BYTES = 64 * 1024 * 1024
"""Largest header (all that stands before the pixel data) that is read."""
HEADER_MAX_ELEMENTS = 20_000
"""Most top-level elements of a header that are read."""

_PIXEL_DATA = 0x7FE00010
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_UNDEFINED_LENGTH = 0xFFFFFFFF
_JPEG_BASELINE_PROCESS = 0xC0


def read_header(path: Path) -> Dataset:
    """Read all that stands before the pixel data, with `file_meta` (PS3.10 7).

    Files without preamble or file meta information are read too; `file_meta.TransferSyntaxUID` is
    then what the encoding shows. Raises RefusedError for what is not DICOM, holds no image, is cut
    off, or whose header is larger or more deeply nested than any honest one.
    """
    with _parsing(), path.open("rb") as file:
        return _read(file, inflated_max_bytes=HEADER_MAX_BYTES + 1).header


def decode(path: Path, *, max_pixels: int) -> tuple[Dataset, NDArray[Any]]:
    """Read the header and the stored values of the one frame.

    The values are (rows, columns) integers of 8 or 16 bits (PALETTE COLOR: the indices), or
    (rows, columns, 3) uint8 RGB. What the header and the codestream declare is checked against
    `max_pixels` and against each other before anything is decoded. Raises RefusedError.
    """
    with _parsing(), path.open("rb") as file:
        # Six bytes a pixel is the most that is read (16 bit RGB).
        film = _read(file, inflated_max_bytes=HEADER_MAX_BYTES + 6 * max_pixels)
        _check_declared(film.header, max_pixels)
        image = _read_pixel_data(film)
        if film.syntax.is_encapsulated:
            return film.header, _decode_encapsulated(film, image, max_pixels)
        return film.header, _decode_native(film, image)


class _Film(NamedTuple):
    header: Dataset
    source: BinaryIO
    """The data set's bytes, standing at the pixel data element."""
    syntax: UID


@contextmanager
def _parsing() -> Iterator[None]:
    """Turn what parsers raise on broken input into a RefusedError, and keep them quiet."""
    try:
        with elements.quiet():
            yield
    except RefusedError:
        raise
    except RecursionError:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The header is nested too deeply to be read."
        ) from None
    except MemoryError:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "Reading the file needs more memory than is allowed."
        ) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the file's
        raise RefusedError(
            RefusalCode.UNDECODABLE, f"The file is damaged: its parser says {type(error).__name__}."
        ) from error


def _read(file: BinaryIO, *, inflated_max_bytes: int) -> _Film:
    meta = _read_meta(file)
    syntax = _transfer_syntax(meta, file)
    source: BinaryIO = file
    if syntax == DeflatedExplicitVRLittleEndian:
        source = io.BytesIO(_inflate(file, inflated_max_bytes))
    guard = _Guard(source)
    header = read_dataset(
        source,
        is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
        stop_when=guard,
    )
    meta.TransferSyntaxUID = syntax
    header.file_meta = meta
    header.set_original_encoding(syntax.is_implicit_VR, syntax.is_little_endian)
    _check_object(header, guard)
    return _Film(header, source, syntax)


def _read_meta(file: BinaryIO) -> FileMetaDataset:
    """Read the file meta information, which may be missing, and stop at the data set."""
    head = file.read(132)
    if not head:
        raise RefusedError(RefusalCode.NOT_DICOM, "The file is empty.")
    if head[128:] != b"DICM":
        if not _looks_like_data_set(head):
            raise RefusedError(RefusalCode.NOT_DICOM, "The file is not a DICOM file.")
        file.seek(0)
    # PS3.10 7.1: explicit VR little endian, whatever the data set's own encoding.
    return FileMetaDataset(
        read_dataset(
            file,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: tag.group != 2,
        )
    )


def _looks_like_data_set(head: bytes) -> bool:
    """Whether bytes without a preamble begin as a data set: group 2 or 8, and a VR or a length."""
    if len(head) < 8:
        return False
    little, big = (int.from_bytes(head[:2], order) in (2, 8) for order in ("little", "big"))
    explicit = head[4:6].decode("latin-1") in VR.__members__
    implicit = int.from_bytes(head[4:8], "little") <= 1024
    return (little and (explicit or implicit)) or (big and explicit)


def _transfer_syntax(meta: FileMetaDataset, file: BinaryIO) -> UID:
    declared = UID(elements.text(meta, "TransferSyntaxUID"))
    if declared:
        if declared not in TRANSFER_SYNTAXES:
            name = declared.name if declared.is_transfer_syntax else "an unknown one"
            raise RefusedError(
                RefusalCode.UNSUPPORTED, f"The transfer syntax is not supported: {name}."
            )
        return declared
    head = file.read(8)
    file.seek(-len(head), os.SEEK_CUR)
    if head[4:6].decode("latin-1") not in VR.__members__:
        return ImplicitVRLittleEndian
    # Group numbers of a data set's first element are small, so the larger byte comes last.
    return ExplicitVRLittleEndian if head[:1] > head[1:2] else ExplicitVRBigEndian


def _inflate(file: BinaryIO, max_bytes: int) -> bytes:
    """Inflate a deflated data set (PS3.5 A.5), at most `max_bytes` of it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(file.read(), max_bytes)
    if not inflater.eof and not inflater.unconsumed_tail:
        raise RefusedError(RefusalCode.UNDECODABLE, "The deflated data set is cut off.")
    return inflated


class _Guard:
    """pydicom's stop condition for a header: stops at pixel data, bounds everything before it."""

    def __init__(self, source: BinaryIO) -> None:
        self.found: int | None = None
        """The tag of the pixel data, once seen."""
        self._source = source
        self._start = source.tell()
        self._end = source.seek(0, os.SEEK_END)
        source.seek(self._start)
        self._elements = 0

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag == _PIXEL_DATA or tag in _FLOAT_PIXEL_DATA:
            self.found = int(tag)
            return True
        self._elements += 1
        here = self._source.tell()
        here += 0 if length == _UNDEFINED_LENGTH else length
        if self._elements > HEADER_MAX_ELEMENTS or self._start + HEADER_MAX_BYTES < min(
            here, self._end
        ):
            raise RefusedError(RefusalCode.UNDECODABLE, "The header is too large to be read.")
        if here > self._end:
            raise RefusedError(RefusalCode.UNDECODABLE, "The file is cut off inside its header.")
        return False


def _check_object(header: Dataset, guard: _Guard) -> None:
    if "DirectoryRecordSequence" in header:
        raise RefusedError(
            RefusalCode.UNSUPPORTED, "The file is a DICOMDIR, a directory and not an image."
        )
    if not elements.text(header, "SOPClassUID"):
        raise RefusedError(RefusalCode.UNSUPPORTED, "The header names no SOP class.")
    if guard.found is None:
        raise RefusedError(RefusalCode.NO_PIXELS, "The object holds no pixel data.")
    if guard.found in _FLOAT_PIXEL_DATA:
        raise RefusedError(RefusalCode.UNSUPPORTED, "Floating point pixel data is not supported.")


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
    allocated = elements.integer(header, "BitsAllocated")
    stored = elements.integer(header, "BitsStored")
    if allocated not in (8, 16) or stored is None or not 1 <= stored <= allocated:
        raise RefusedError(
            RefusalCode.UNSUPPORTED,
            f"Pixels of {stored} bits in cells of {allocated} bits are not supported.",
        )


def _read_pixel_data(film: _Film) -> Dataset:
    """Read on from where the header ended; the pixel data in a data set with the header."""
    pixels = read_dataset(
        film.source,
        is_implicit_VR=film.syntax.is_implicit_VR,
        is_little_endian=film.syntax.is_little_endian,
        stop_when=lambda tag, _vr, _length: tag > _PIXEL_DATA,
    )
    if "PixelData" not in pixels:
        raise RefusedError(RefusalCode.UNDECODABLE, "The pixel data is cut off.")
    if not pixels.PixelData:
        raise RefusedError(RefusalCode.NO_PIXELS, "The pixel data is empty.")
    image = Dataset(film.header)
    image.file_meta = film.header.file_meta
    image.set_original_encoding(film.syntax.is_implicit_VR, film.syntax.is_little_endian)
    image[_PIXEL_DATA] = pixels[_PIXEL_DATA]
    image.NumberOfFrames = 1
    if "SamplesPerPixel" not in image:
        image.SamplesPerPixel = 1
    if "PixelRepresentation" not in image:
        image.PixelRepresentation = 0
    return image


def _decode_native(film: _Film, image: Dataset) -> NDArray[Any]:
    cells = image.Rows * image.Columns * image.SamplesPerPixel
    if image.get("PhotometricInterpretation") == "YBR_FULL_422":
        cells = cells // 3 * 2  # PS3.3 C.7.6.3.1.2: half the chrominance
    if len(image.PixelData) < cells * image.BitsAllocated // 8:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The pixel data is cut off: it holds less than the image."
        )
    return _values(film, image)


def _decode_encapsulated(film: _Film, image: Dataset, max_pixels: int) -> NDArray[Any]:
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
    """Decode 8 bit grey JPEG by OpenCV: several times faster than the general way."""
    # IMREAD_UNCHANGED: an EXIF orientation must not turn the film.
    values = cv2.imdecode(np.frombuffer(codestream, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2 or values.dtype != np.uint8:
        raise RefusedError(RefusalCode.UNDECODABLE, "The JPEG image cannot be decoded.")
    return np.asarray(values, dtype=np.uint8)


def _values(film: _Film, image: Dataset) -> NDArray[Any]:
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
        message = " ".join(str(error).split())[:200]
        raise RefusedError(
            RefusalCode.UNDECODABLE, f"The pixel data cannot be decoded: {message}"
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
