"""The terminal that commands print to."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_LEFT_OUT = {
    code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (ord("\n"), ord("\t"))
}


class Terminal(Console):
    """A console that leaves out the control characters of what it prints.

    Names, ids and comments come from peers, and an escape sequence in one of them must not clear
    the screen, or write what was never said.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as a console does."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(text.translate(_LEFT_OUT), style)
