"""What a compressed image says of itself before it is decoded: size, components, completeness.

Reads the marker segments of JPEG and JPEG-LS (ITU-T T.81, T.87) and of JPEG 2000 and HTJ2K
(T.800, T.814).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SOI = b"\xff\xd8"
_SOC_SIZ = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
MAGIC = (_SOI, _SOC_SIZ, _JP2_SIGNATURE)
"""How a codestream begins."""
END = b"\xff\xd9"
"""How it ends: EOI of JPEG (T.81 B.1.1.3), EOC of JPEG 2000 (T.800 A.4.4)."""

_SOT = b"\xff\x90"
_SOS = 0xDA
# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), and JPEG-LS's SOF55 (F7).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_SEQUENTIAL_DCT = frozenset({0xC0, 0xC1})
_HUFFMAN = frozenset({0xC0, 0xC1, 0xC2, 0xC3})
_ONES = 32 * b"\xff\x00"
"""Bits that are all 1, which no Huffman code is (T.81 C.2), each 0xFF stuffed (B.1.1.5)."""
_WHOLE_SPECTRUM = b"\x00\x3f"
_LEAST_TILE_BYTES = 14
"""SOT and SOD, which every tile has at least one of (T.800 A.4.2, A.4.3)."""


@dataclass(frozen=True, slots=True)
class FrameSize:
    """The size a codestream declares, in pixels; `precision` in bits, as of its first component.

    `pixels` is what a decoder would work through: for JPEG 2000 the reference grid, which
    subsampled components may fill only in part.
    """

    rows: int
    columns: int
    components: int
    precision: int
    pixels: int
    jpeg_process: int | None
    """The low byte of a JPEG's SOF marker (0xC0 is baseline); None for JPEG 2000."""
    tiles: int = 1
    """Into how many tiles a JPEG 2000 image is cut (T.800 B.3)."""


def frame_size(codestream: bytes) -> FrameSize | None:
    """Read the declared size, or None where it is neither JPEG nor JPEG 2000, or has no size."""
    if codestream.startswith(_SOI):
        return _jpeg_size(codestream)
    start = 0
    if codestream.startswith(_JP2_SIGNATURE):  # a whole JP2 file where only its codestream belongs
        start = codestream.find(_SOC_SIZ)
    if start < 0 or not codestream.startswith(_SOC_SIZ, start):
        return None
    return _jpeg_2000_size(codestream[start : start + 64])


def is_complete(codestream: bytes, size: FrameSize) -> bool:
    """Whether its end marker is there, and every tile: else it was cut off, or lost a part."""
    if size.tiles * _LEAST_TILE_BYTES > len(codestream):
        return False
    if not codestream.startswith(_SOI):
        return _has_all_tiles(codestream, size.tiles)
    return codestream.rfind(END, max(_scan_start(codestream), 4)) >= 0


def _has_all_tiles(data: bytes, tiles: int) -> bool:
    """Whether a JPEG 2000 image has a part of each tile, and no part ends after its end marker.

    Decoders leave a tile black that has none. A tile part tells its tile and its length (T.800
    A.4.2); the length of the last one may be 0, which means all that is left.
    """
    at, end = data.find(_SOC_SIZ) + 2, data.rfind(END)
    while at + 4 <= end and not data.startswith(_SOT, at):  # the main header's marker segments
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    found: set[int] = set()
    while at + 12 <= end and data.startswith(_SOT, at):
        tile, length = struct.unpack_from(">HI", data, at + 4)
        found.add(tile)
        at = at + length if length else end
    return at <= end and len(found) == tiles


def _jpeg_size(data: bytes) -> FrameSize | None:
    for marker, at in _segments(data):
        if marker in _SOF:
            if len(data) < at + 10:
                return None
            precision, rows, columns, components = struct.unpack_from(">BHHB", data, at + 4)
            return FrameSize(rows, columns, components, precision, rows * columns, marker)
    return None


def with_whole_spectrum(codestream: bytes) -> bytes:
    """Repair the spectral selection of a sequential JPEG's first scan: Ss 0, Se 63 (T.81 B.2.3).

    Some encoders leave zeros there. No other values have a meaning in this process, so nothing is
    guessed; some decoders refuse them.
    """
    segments = dict(_segments(codestream))
    at = segments.get(_SOS)
    if at is None or not segments.keys() & _SEQUENTIAL_DCT or len(codestream) < at + 5:
        return codestream
    spectrum = at + 5 + 2 * codestream[at + 4]
    if codestream[spectrum : spectrum + 2] == _WHOLE_SPECTRUM:
        return codestream
    return codestream[:spectrum] + _WHOLE_SPECTRUM + codestream[spectrum + 2 :]


def with_guard(codestream: bytes) -> bytes:
    """Put bits that no Huffman code begins with between a JPEG's last scan and its end marker.

    A decoder that has all values by then passes over them. One that has not, since the scan was cut
    off under an end marker, would make up what is missing; now it fails.
    """
    markers = {marker for marker, _ in _segments(codestream)}
    end = codestream.rfind(END, max(_scan_start(codestream), 4))
    if not markers & _HUFFMAN or end < 0:
        return codestream
    scanned = codestream[:end].rstrip(b"\xff")  # without the fill bytes of the marker
    return scanned + _ONES + codestream[len(scanned) :]


def _scan_start(data: bytes) -> int:
    """Where the first scan begins; end markers before it belong to embedded thumbnails."""
    return next((at for marker, at in _segments(data) if marker == _SOS), len(data))


def _segments(data: bytes) -> list[tuple[int, int]]:
    """List (marker, offset of its 0xFF) up to and with the first start of scan."""
    found: list[tuple[int, int]] = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        found.append((marker, at))
        if marker == _SOS:
            break
        at += 2 if marker in _STANDALONE else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return found


def _jpeg_2000_size(data: bytes) -> FrameSize | None:
    # T.800 A.5.1: Lsiz, Rsiz, Xsiz, Ysiz, XOsiz, YOsiz, XTsiz, YTsiz, XTOsiz, YTOsiz, Csiz, Ssiz...
    if len(data) < 45:
        return None
    x, y, x0, y0, tile_x, tile_y = struct.unpack_from(">6I", data, 8)
    components, first_depth, step_x, step_y = struct.unpack_from(">HBBB", data, 40)
    if x <= x0 or y <= y0 or 0 in (tile_x, tile_y, step_x, step_y):
        return None
    columns = -(-x // step_x) - -(-x0 // step_x)
    rows = -(-y // step_y) - -(-y0 // step_y)
    precision = (first_depth & 0x7F) + 1
    tile_x0, tile_y0 = struct.unpack_from(">2I", data, 32)
    if tile_x0 > x0 or tile_y0 > y0:
        return None
    tiles = -(-(x - tile_x0) // tile_x) * -(-(y - tile_y0) // tile_y)
    return FrameSize(rows, columns, components, precision, x * y, None, tiles)
