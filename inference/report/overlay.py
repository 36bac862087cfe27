"""A film with the reading burned in, as a picture. No DICOM here.

Drawn to be read at a glance and to hide nothing: thin boxes in one colour, their scores beside
them, and a few lines at the lower edge, on a dimmed strip through which the film still shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from inference.reading import Box, Device, Finding, Reading
from inference.report import words
from inference.report.look import COLOURS, USUAL, Colour, Look

Picture = NDArray[np.uint8]
WHITE: Colour = (248, 248, 248)
GREY: Colour = (214, 214, 214)
BLACK: Colour = (16, 16, 16)

_DIM = 0.3
"""How much of the film's light passes through what lies behind a text."""
_SEPARATOR = "  \u00b7  "


def draw(film: Picture, reading: Reading, device: Device, look: Look = USUAL) -> Picture:
    """Return `film` (rows, columns), as a person sees it, as BGR with boxes and a legend."""
    film = _fit(film, look.max_side)
    colour = COLOURS[look.colour]
    picture = np.asarray(cv2.cvtColor(film, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    rows, columns = film.shape
    style = _style(rows, columns)
    lines = _legend(reading, device, look, columns - 2 * style.margin, style)
    step = round(style.text * 1.45)
    strip = max(rows - step * len(lines) - round(style.margin * 1.3), 0)
    _dim(picture[strip:])
    scale = columns / reading.columns
    boxes = look.shown(reading).boxes
    for box in reversed(boxes):
        _outline(picture, box, scale, style, colour)
    for box in reversed(boxes):
        _score(picture, box, scale, strip, style, colour)
    for number, line in enumerate(lines):
        _write(picture, line, style.margin, strip + style.margin + number * step)
    return picture


@dataclass(frozen=True, slots=True)
class _Style:
    """Sizes in pixels of one picture."""

    line: int
    halo: int
    text: int
    small_text: int
    margin: int


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of text: how much of each pixel it covers (0 to 255), and its colour."""

    cover: NDArray[np.uint8]
    colour: Colour


def _style(rows: int, columns: int) -> _Style:
    """Scale everything with the picture, so that it looks the same at any size on a screen."""
    side = min(columns, rows * 1.25)
    line = max(round(side / 560), 1)
    text = max(round(side / 58), 10)
    return _Style(
        line=line,
        halo=max(round(line / 2), 1),
        text=text,
        small_text=max(round(text * 0.86), 9),
        margin=max(round(text * 0.8), 4),
    )


def _outline(picture: Picture, box: Box, scale: float, style: _Style, colour: Colour) -> None:
    """Draw a box in colour between two dark lines, which keep it visible on bright ground."""
    left, top, right, bottom = _pixels(picture, box, scale)
    for thickness, ink in ((style.line + 2 * style.halo, BLACK), (style.line, colour)):
        cv2.rectangle(picture, (left, top), (right, bottom), ink, thickness)


def _score(
    picture: Picture, box: Box, scale: float, floor: int, style: _Style, colour: Colour
) -> None:
    """Write the score of a box above its corner, or inside it where there is no room above."""
    left, top, _, _ = _pixels(picture, box, scale)
    line = _Line(_text(words.percent(box.score), style.text), colour)
    rows, columns = line.cover.shape
    pad = max(style.text // 4, 2)
    gap = style.line + style.halo
    y = top - gap - rows - 2 * pad
    if y < 0:
        y = min(top + gap, floor - rows - 2 * pad)
    x = min(left, picture.shape[1] - columns - 2 * pad)
    x, y = max(x, 0), max(y, 0)
    _dim(picture[y : y + rows + 2 * pad, x : x + columns + 2 * pad])
    _write(picture, line, x + pad, y + pad)


def _legend(reading: Reading, device: Device, look: Look, width: int, style: _Style) -> list[_Line]:
    """Return the lines that say what was found, by what, and what that is worth."""
    found = COLOURS[look.colour] if reading.finding is Finding.OPACITY else WHITE
    headline = _wrap([words.headline(look.shown(reading))], width, style.text)
    hidden = len(reading.boxes) - len(look.shown(reading).boxes)
    details = _wrap(
        [*words.hidden(hidden, look.min_score), *words.legend(reading, device)],
        width,
        style.small_text,
    )
    return [
        *(_Line(_text(line, style.text), found) for line in headline),
        *(_Line(_text(line, style.small_text), GREY) for line in details),
    ]


def _wrap(parts: list[str], width: int, size: int) -> list[str]:
    """Join parts to lines that are not wider than `width`; a part that is too long is broken."""
    lines: list[str] = []
    for part in parts:
        if lines and _length(joined := f"{lines[-1]}{_SEPARATOR}{part}", size) <= width:
            lines[-1] = joined
        elif _length(part, size) <= width:
            lines.append(part)
        else:
            lines += _broken(part, width, size)
    return lines


def _broken(text: str, width: int, size: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _length(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


@lru_cache(maxsize=256)
def _length(text: str, size: int) -> float:
    return _font(size).getlength(text)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own typeface, Aileron, at `size` pixels."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType: install its binary wheel")
    return font


@lru_cache(maxsize=256)
def _text(text: str, size: int) -> NDArray[np.uint8]:
    """Return the coverage (0 to 255) of a line of text, one row of `size` * 1.2 pixels high."""
    font = _font(size)
    mask, (left, top) = font.getmask2(text, mode="L", anchor="ls")
    columns, rows = mask.size
    ascent = round(size * 0.76)
    line = np.zeros((round(size * 1.0), columns + max(left, 0)), np.uint8)
    ink = np.frombuffer(bytes(mask), np.uint8).reshape(rows, columns)
    first = max(ascent + top, 0)
    ink = ink[max(-(ascent + top), 0) :][: line.shape[0] - first]
    line[first : first + ink.shape[0], max(left, 0) :] = ink
    return line


def _write(picture: Picture, line: _Line, x: int, y: int) -> None:
    rows, columns = line.cover.shape
    under = picture[y : y + rows, x : x + columns]
    cover = line.cover[: under.shape[0], : under.shape[1], None].astype(np.float32) / 255
    under[:] = under + (np.array(line.colour, np.float32) - under) * cover + 0.5


def _dim(area: Picture) -> None:
    area[:] = area * np.float32(_DIM)


def _pixels(picture: Picture, box: Box, scale: float) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a box as pixels inside the picture."""
    rows, columns = picture.shape[:2]
    xs = (round(x * scale) for x in (box.x, box.x + box.width))
    ys = (round(y * scale) for y in (box.y, box.y + box.height))
    left, right = (min(max(x, 0), columns - 1) for x in xs)
    top, bottom = (min(max(y, 0), rows - 1) for y in ys)
    return left, top, right, bottom


def _fit(film: Picture, max_side: int) -> Picture:
    longest = max(film.shape)
    if not 0 < max_side < longest:
        return film
    rows, columns = (max(round(side * max_side / longest), 1) for side in film.shape)
    return np.asarray(cv2.resize(film, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
