"""How the exploration's figures look: colours, type, axes. Drawn off screen, no global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

INK = "#22303c"
MUTED = "#74838f"
GRID = "#e3e8ec"
BLUE = "#1f6f8b"
ORANGE = "#d1803c"
CLASS_COLOURS = ("#8fb8c9", "#e3c189", "#b5483a")
"""Normal, Not Normal, Lung Opacity, in the order of `inference.manifest.CLASSES`."""
CLASS_NAMES = ("Normal", "Not normal, no opacity", "Lung opacity")
TARGET_COLOURS = ("#a9b7c0", "#b5483a")
TARGET_NAMES = ("Target 0", "Target 1")
GROUP_COLOURS = ("#1f6f8b", "#8fb8c9", "#d1803c", "#e3c189", "#74838f", "#c4ccd2", "#22303c")
SEX_NAMES = {"M": "Men", "F": "Women"}

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": "#b9c3ca",
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "image.origin": "upper",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished figure as PNG, with the words that go with it."""

    id: str
    title: str
    caption: str
    png: bytes


def look() -> AbstractContextManager[None]:
    """Give figures drawn inside this context their type, colours and lines."""
    return mpl.rc_context(_RC)  # type: ignore[arg-type]  # the type of its keys is not public


def panels(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make a figure of rows x columns panels, each `size` inches wide and high; axes row by row."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(columns * size[0], rows * size[1]), layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [cast("Axes", each) for each in axes.flat]


def png(figure: Figure, dpi: int = 120) -> bytes:
    """Render a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def light_grid(axes: Axes, axis: Literal["x", "y", "both"] = "y") -> None:
    """Draw thin lines behind the values, and no ticks."""
    axes.grid(True, axis=axis, color=GRID, linewidth=0.8)
    axes.tick_params(length=0)


def thousands(axis: Axis) -> None:
    """Write an axis's numbers with separators."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def percent(value: float, digits: int = 1) -> str:
    """Write a share, 0 to 1, in percent."""
    return f"{100 * value:.{digits}f} %"


def named(groups: Sequence[str]) -> list[str]:
    """Say sexes in words; other names stay as they are."""
    return [SEX_NAMES.get(name, name) for name in groups]
