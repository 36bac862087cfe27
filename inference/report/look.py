"""How overlays look, of which images they are made, and for whom. Nothing is drawn here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from inference.reading import Finding, Reading

Colour = tuple[int, int, int]
"""Blue, green, red."""

COLOURS: dict[str, Colour] = {
    "amber": (32, 184, 255),
    "cyan": (240, 220, 60),
    "green": (90, 220, 90),
    "magenta": (230, 90, 240),
    "white": (248, 248, 248),
}
"""What boxes may be drawn in: all stay readable on bright and dark ground, between dark lines."""

Images = Literal["all", "with_boxes", "positive"]


@dataclass(frozen=True, slots=True)
class Look:
    """What an overlay looks like.

    `max_side` is its longest side in pixels (0, or more than the film has: the film's own size),
    `colour` one of `COLOURS`; boxes with a score below `min_score` (0 to 1) are not drawn.
    """

    max_side: int = 0
    colour: str = "amber"
    min_score: float = 0.0

    @property
    def name(self) -> str:
        """What tells the UIDs of this look from those of others; "" for the usual one."""
        return "" if self == Look() else f"{self.max_side} {self.colour} {self.min_score!r}"

    def shown(self, reading: Reading) -> Reading:
        """Return a reading with the boxes that are drawn."""
        boxes = tuple(box for box in reading.boxes if box.score >= self.min_score)
        return replace(reading, boxes=boxes)


USUAL = Look()


@dataclass(frozen=True, slots=True)
class Overlays:
    """The overlays that one destination asks for; None stands for whoever asks for any.

    `images`: of all that were read, of those with boxes that are drawn, or of all of a study with a
    positive finding.
    """

    look: Look = USUAL
    images: Images = "all"
    destination: str | None = None

    def covers(self, reading: Reading, study: Finding) -> bool:
        """Tell whether an overlay of an image with this reading is asked for."""
        if self.images == "with_boxes":
            return bool(self.look.shown(reading).boxes)
        return self.images == "all" or study is Finding.OPACITY
