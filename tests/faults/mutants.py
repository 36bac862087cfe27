"""DICOM files, changed in seeded ways: cut, flipped, spliced, renumbered, retyped, nested."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_EXTREMES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
_LONG_EXTREMES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_TEXTS = (
    b"../../../../etc/passwd",
    b"'; DROP TABLE study; --",
    b"<script>alert(1)</script>",
    b"\\\\\\\\\\\\\\\\",
    b"\x00\x00\x00\x00",
    b"\x1b$B\x1b(J\x1b",
    b"\xff\xfe\xfd\xfc",
    b"-1e400\\nan\\inf",
    b"99999999999999",
)
_VRS = (b"AE", b"DS", b"FD", b"IS", b"LO", b"OB", b"OW", b"PN", b"SQ", b"UI", b"UN", b"US", b"ZZ")
_TAGS = (
    0x00080005,  # Specific Character Set
    0x00080018,  # SOP Instance UID
    0x00081010,  # Station Name
    0x00100010,  # Patient's Name
    0x00200020,  # Patient Orientation
    0x00280002,  # Samples per Pixel
    0x00280004,  # Photometric Interpretation
    0x00280008,  # Number of Frames
    0x00280010,  # Rows
    0x00280011,  # Columns
    0x00280034,  # Pixel Aspect Ratio
    0x00280100,  # Bits Allocated
    0x00280101,  # Bits Stored
    0x00280102,  # High Bit
    0x00280103,  # Pixel Representation
    0x00281050,  # Window Center
    0x00281051,  # Window Width
    0x00281052,  # Rescale Intercept
    0x00281053,  # Rescale Slope
    0x00283002,  # LUT Descriptor
    0x00283006,  # LUT Data
    0x7FE00010,  # Pixel Data
    0xFFFEE000,  # Item
    0xFFFEE00D,  # Item Delimitation Item
)
_DEEPEST = 3000

Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed file: which seed it was, and what was done to it, in order."""

    content: bytes
    seed: int
    changes: tuple[str, ...]


def mutant(rng: random.Random, seeds: Sequence[bytes]) -> Mutant:
    """Change one of the files in one to three ways; most often in one, which leaves it whole."""
    number = rng.randrange(len(seeds))
    content = bytearray(seeds[number])
    changes = rng.choices(CHANGES, k=rng.choice((1, 1, 1, 2, 3)))
    for change in changes:
        change(rng, content, seeds)
    return Mutant(bytes(content), number, tuple(change.__name__ for change in changes))


def flip(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Change single bytes anywhere."""
    for _flip in range(rng.randint(1, 4)):
        if content:
            content[_place(rng, content)] = rng.randrange(256)


def flip_header(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Change single bytes of the first two kilobytes, where most of a header is."""
    for _flip in range(rng.randint(1, 4)):
        if content:
            content[rng.randrange(min(len(content), 2048))] = rng.randrange(256)


def truncate(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Cut the end off."""
    del content[_place(rng, content) :]


def remove(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Take a piece out."""
    begin = _place(rng, content)
    del content[begin : begin + rng.randint(1, 300)]


def repeat(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Write a piece twice."""
    begin = _place(rng, content)
    content[begin:begin] = content[begin : begin + rng.randint(1, 300)]


def insert(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Put bytes in that do not belong there."""
    begin = _place(rng, content)
    content[begin:begin] = rng.choice((*_TEXTS, rng.randbytes(rng.randint(1, 64))))


def splice(rng: random.Random, content: bytearray, seeds: Sequence[bytes]) -> None:
    """Go on as another file from some place on."""
    other = rng.choice(seeds)
    content[_place(rng, content) :] = other[_place(rng, other) :]


def renumber(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Give an element that matters an extreme value."""
    place = _element(rng, content)
    if place is not None and place + 10 <= len(content):
        struct.pack_into("<H", content, place + 8, rng.choice(_EXTREMES))


def resize(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Give an element that matters an extreme length."""
    place = _element(rng, content)
    if place is None or place + 12 > len(content):
        return
    if rng.random() < 0.5:
        struct.pack_into("<H", content, place + 6, rng.choice(_EXTREMES))
    else:
        struct.pack_into("<I", content, place + rng.choice((4, 8)), rng.choice(_LONG_EXTREMES))


def retype(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Give an element that matters another value representation."""
    place = _element(rng, content)
    if place is not None and place + 6 <= len(content):
        content[place + 4 : place + 6] = rng.choice(_VRS)


def rewrite(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Overwrite an element's value with hostile text."""
    place = _element(rng, content)
    if place is not None:
        text = rng.choice(_TEXTS)
        content[place + 8 : place + 8 + len(text)] = text


def nest(rng: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    """Put sequences of undefined length in, each in the one before, in front of an element."""
    place = _element(rng, content)
    if place is not None:
        sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        content[place:place] = (sequence + item) * rng.randint(1, _DEEPEST)


CHANGES: tuple[Change, ...] = (
    flip,
    flip_header,
    truncate,
    remove,
    repeat,
    insert,
    splice,
    renumber,
    resize,
    retype,
    rewrite,
    nest,
)


def _place(rng: random.Random, content: bytes | bytearray) -> int:
    """Choose a place, as often among the first kilobytes as in all of the file."""
    size = len(content)
    return rng.randrange(max(1, min(size, 2048) if rng.random() < 0.5 else size))


def _element(rng: random.Random, content: bytearray) -> int | None:
    """Return where one of the elements that matter begins (little endian), if it is there."""
    tag = rng.choice(_TAGS)
    place = content.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    return None if place < 0 else place
