"""Encapsulated pixel data (PS3.5 A.4): its one frame, checked before anything is decoded.

What a frame says of itself is read by `inference.codestream`; its values are decoded by
`inference.decode`.
"""

from __future__ import annotations

import struct
from itertools import pairwise

from pydicom.encaps import generate_fragments
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSLossless,
)

from inference.codestream import END, MAGIC, FrameSize, frame_size, is_complete
from inference.reading import RefusalCode, RefusedError

JPEG_BASELINE, JPEG_EXTENDED, JPEG_PROGRESSIVE, JPEG_LOSSLESS, JPEG_LS = (
    0xC0,
    0xC1,
    0xC2,
    0xC3,
    0xF7,
)
"""The low bytes of SOF markers of the JPEG processes that are read (T.81 table B.1, T.87 C.1.1)."""

_SYNTAX_OF_PROCESS: dict[int | None, UID] = {
    JPEG_BASELINE: JPEGBaseline8Bit,
    JPEG_EXTENDED: JPEGExtended12Bit,
    JPEG_PROGRESSIVE: JPEGExtended12Bit,
    JPEG_LOSSLESS: JPEGLossless,
    JPEG_LS: JPEGLSLossless,
}
_RLE_HEADER_BYTES = 64
_ITEM_TAG = b"\xfe\xff\x00\xe0"


def join_fragments(pixel_data: bytes) -> bytes:
    """Join the fragments of the one frame, whatever the Basic Offset Table says of them.

    Raises:
        RefusedError: they are damaged, or hold more than one frame.
    """
    if not pixel_data.startswith(_ITEM_TAG):
        raise RefusedError(
            RefusalCode.UNDECODABLE,
            "The pixel data is not compressed, although its transfer syntax is.",
        )
    try:
        items = list(generate_fragments(pixel_data))
    except (ValueError, EOFError):
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The compressed pixel data is cut off or damaged."
        ) from None
    # The first item is the Basic Offset Table; some writers leave it out.
    fragments = items if items and items[0].startswith(MAGIC) else items[1:]
    for before, fragment in pairwise(fragments):
        if fragment.startswith(MAGIC) and before.rstrip(b"\0").endswith(END):
            raise RefusedError(
                RefusalCode.FRAMES,
                "The pixel data holds more than the one frame that its header tells of.",
            )
    return b"".join(fragments)


def check_rle(frame: bytes, segments: int) -> None:
    """Check the RLE header (PS3.5 G.5): its decoder believes whatever stands there.

    Raises:
        RefusedError: the number of segments is not the image's, or they do not lie in the frame.
    """
    if len(frame) > _RLE_HEADER_BYTES:
        count, *starts = struct.unpack_from("<16I", frame)
        starts = [*starts[:segments], len(frame)]
        rising = all(start < end for start, end in pairwise(starts))
        if count == segments and starts[0] == _RLE_HEADER_BYTES and rising:
            return
    raise RefusedError(
        RefusalCode.UNDECODABLE, "The RLE compressed pixel data is damaged or not of this image."
    )


def check_codestream(
    codestream: bytes,
    *,
    rows: int,
    columns: int,
    samples: int,
    bits_allocated: int,
    max_pixels: int,
) -> FrameSize:
    """Hold what a codestream says of itself against the header; return what it says.

    Raises:
        RefusedError: it is cut off, larger than is allowed, another image than the header's, or of
            a process that is not read.
    """
    size = frame_size(codestream)
    if size is None:
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The compressed pixel data is not what its syntax says."
        )
    if size.pixels > max_pixels:
        raise RefusedError(
            RefusalCode.TOO_LARGE,
            f"The compressed image takes {size.pixels} pixels to decode,"
            f" more than the {max_pixels} allowed.",
        )
    _check_same("{} x {} pixels", (size.rows, size.columns), (rows, columns))
    _check_same("{} samples per pixel", (size.components,), (samples,))
    if size.jpeg_process is not None:
        if size.jpeg_process not in _SYNTAX_OF_PROCESS:
            raise RefusedError(
                RefusalCode.UNSUPPORTED,
                "The JPEG image is of a process that is not read (arithmetic or hierarchical).",
            )
        _check_same("cells of {} bits", (-(-size.precision // 8) * 8,), (bits_allocated,))
    if not is_complete(codestream, size):
        raise RefusedError(
            RefusalCode.UNDECODABLE, "The compressed pixel data is cut off, or a part is missing."
        )
    return size


def syntax_of(size: FrameSize, declared: UID) -> UID:
    """The transfer syntax that a codestream really is in, for those written under another's name.

    The kinds of JPEG 2000 share a decoder, and JPEG's processes tell themselves apart.
    """
    if size.jpeg_process is not None:
        return _SYNTAX_OF_PROCESS[size.jpeg_process]
    return declared if declared in JPEG2000TransferSyntaxes else JPEG2000


def _check_same(form: str, found: tuple[int, ...], declared: tuple[int, ...]) -> None:
    if found != declared:
        raise RefusedError(
            RefusalCode.UNDECODABLE,
            f"The compressed image has {form.format(*found)},"
            f" but the header says {form.format(*declared)}.",
        )
