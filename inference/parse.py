"""The header of a DICOM file and where its pixels begin, parsed within bounds.

Neither a hostile nor a damaged file takes more than a moment or more memory than a header may.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import VR

from inference import elements
from inference.reading import RefusalCode, RefusedError
from settings import TRANSFER_SYNTAXES

HEADER_MAX_BYTES = 64 * 1024 * 1024
"""Largest header (all that stands before the pixel data) that is read."""
HEADER_MAX_ELEMENTS = 20_000
"""Most top-level elements of a header that are read."""
HEADER_MAX_ITEMS = 20_000
"""Most sequence items of a header that are read: each takes tens of microseconds."""
PIXEL_DATA = 0x7FE00010

_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian


class Film(NamedTuple):
    header: Dataset
    source: BinaryIO
    """The data set's bytes, standing at the pixel data element."""
    syntax: UID


@contextmanager
def parsing() -> Iterator[None]:
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


def parse(file: BinaryIO, *, inflated_max_bytes: int) -> Film:
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
    return Film(header, source, syntax)


def read_pixel_data(film: Film) -> DataElement:
    """Read on from where the header ended: the pixel data element.

    Raises:
        RefusedError: it is empty, cut off, or not encoded as the transfer syntax says.
    """
    pixels = read_dataset(
        film.source,
        is_implicit_VR=film.syntax.is_implicit_VR,
        is_little_endian=film.syntax.is_little_endian,
        stop_when=_PixelGuard(film),
    )
    if PIXEL_DATA not in pixels:
        raise RefusedError(RefusalCode.UNDECODABLE, "The pixel data is cut off.")
    element = pixels[PIXEL_DATA]
    if not element.value:
        raise RefusedError(RefusalCode.NO_PIXELS, "The pixel data is empty.")
    return element


class _PixelGuard:
    """pydicom's stop condition for pixel data: one element, as long as it says."""

    def __init__(self, film: Film) -> None:
        self._film = film
        self._end = _end_of(film.source)
        self._seen = False

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag != PIXEL_DATA or self._seen:
            return True
        self._seen = length > 0  # 0 where pydicom only looks ahead
        if length == _UNDEFINED_LENGTH:
            if not self._film.syntax.is_encapsulated:
                raise RefusedError(
                    RefusalCode.UNDECODABLE,
                    "The pixel data is compressed, although its transfer syntax is not.",
                )
        elif self._film.source.tell() + length > self._end:
            raise RefusedError(RefusalCode.UNDECODABLE, "The pixel data is cut off.")
        return False


def _end_of(source: BinaryIO) -> int:
    here = source.tell()
    end = source.seek(0, os.SEEK_END)
    source.seek(here)
    return end


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
    """Inflate a deflated data set (PS3.5 A.5), at most `max_bytes` of it.

    What is missing of a stream that was cut off is missed by whoever reads on.
    """
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), max_bytes)
    except zlib.error:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The data set is damaged or not deflated, as its syntax says."
        ) from None


class _Guard:
    """pydicom's stop condition for a header: stops at pixel data, bounds everything before it."""

    def __init__(self, source: BinaryIO) -> None:
        self.found: int | None = None
        """The tag of the pixel data, once seen."""
        self._source = source
        self._start = source.tell()
        self._end = _end_of(source)
        self._elements = 0
        self._counted = False

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag == PIXEL_DATA or tag in _FLOAT_PIXEL_DATA:
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
            raise RefusedError(
                RefusalCode.UNDECODABLE,
                "The file is cut off inside its header, or encoded in another transfer syntax than"
                " it says.",
            )
        if length == _UNDEFINED_LENGTH and not self._counted:
            self._counted = True
            self._count_items()
        return False

    def _count_items(self) -> None:
        """Bound the items of sequences whose length is not told: they are all parsed at once."""
        here = self._source.tell()
        rest = self._source.read(HEADER_MAX_BYTES)
        self._source.seek(here)
        if max(map(rest.count, _ITEM_TAGS)) > HEADER_MAX_ITEMS:
            raise RefusedError(RefusalCode.UNDECODABLE, "The header is too large to be read.")


def _check_object(header: Dataset, guard: _Guard) -> None:
    if "DirectoryRecordSequence" in header:
        raise RefusedError(
            RefusalCode.UNSUPPORTED, "The file is a DICOMDIR, a directory and not an image."
        )
    if not header and guard.found is None:
        raise RefusedError(RefusalCode.UNDECODABLE, "The file ends before its data set begins.")
    if not elements.text(header, "SOPClassUID"):
        raise RefusedError(RefusalCode.UNSUPPORTED, "The header names no SOP class.")
    if guard.found is None:
        raise RefusedError(RefusalCode.NO_PIXELS, "The object holds no pixel data.")
    if guard.found in _FLOAT_PIXEL_DATA:
        raise RefusedError(RefusalCode.UNSUPPORTED, "Floating point pixel data is not supported.")
