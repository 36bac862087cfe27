"""What a bundle's `bundle.json` says: the model, how its outputs are read, its measured figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from inference.pixels import Contrast

CLASSES = ("normal", "not_normal", "lung_opacity")
KINDS: Final = ("frontal", "lateral", "not_chest", "rotated", "inverted")
"""What a picture can be: the first is read; turned by quarters or upside down is "rotated"."""

STRICT = ConfigDict(extra="forbid")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[float, Field(gt=0)]
Prevalence = Annotated[float, Field(gt=0, lt=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, config=STRICT)
class Suppression:
    """How candidates of the box head become boxes (see `inference.suppression`).

    `score` and `iou` are the least score and the greatest overlap kept, `relative_score` drops
    boxes below this part of the film's best score, `shrink` scales boxes about their centre, and
    `times_opacity` multiplies the detector's score by the film's probability of opacity. From an
    IoU of `vote` on, weaker candidates have a say in the edges of the box that suppresses them (1:
    none). `typical` is the usual width and height in pixels of the network's input, to which sizes
    are drawn by `typical_weight` (0: not at all).
    """

    score: Fraction
    iou: Fraction
    relative_score: Fraction
    most: Annotated[int, Field(ge=1, le=100)]
    shrink: Annotated[float, Field(gt=0, le=2)]
    times_opacity: bool
    vote: Fraction = 1.0
    typical: tuple[Side, Side] = (1.0, 1.0)
    typical_weight: Fraction = 0.0


@dataclass(frozen=True, config=STRICT)
class OperatingPoint:
    """A threshold on the calibrated probability of opacity and what it gave when it was chosen."""

    threshold: Fraction
    sensitivity: Fraction
    specificity: Fraction


@dataclass(frozen=True, config=STRICT)
class Metric:
    """A measured figure with its 95 % interval; `of` says what was measured on what."""

    value: float
    low: float
    high: float
    of: str


@dataclass(frozen=True, config=STRICT)
class FilmKinds:
    """How the network's `kinds` decide whether a film is read (see `inference.film_kind`).

    A film is refused if the probability that it is no upright frontal chest reaches `threshold`,
    or, where its header contradicts what is seen, `contradicted_threshold`, which is no lower.
    `figures` say how many films are refused, rightly and wrongly.
    """

    classes: tuple[
        Literal["frontal"],
        Literal["lateral"],
        Literal["not_chest"],
        Literal["rotated"],
        Literal["inverted"],
    ]
    threshold: Fraction
    contradicted_threshold: Fraction
    figures: Mapping[str, Metric]

    def __post_init__(self) -> None:
        """Refuse a header that lowers the bar."""
        if self.contradicted_threshold < self.threshold:
            raise ValueError("contradicted_threshold is lower than threshold")


@dataclass(frozen=True, config=STRICT)
class TrainedOn:
    """The data behind the weights; `fingerprint` is a digest over the films used, in order."""

    description: str
    films: int
    patients: int
    fingerprint: Digest


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Manifest:
    """What `bundle.json` says.

    `id` is the model's name. `input_size` is the side of the square input in pixels and `contrast`
    how its greys are made (see `inference.pixels.InputForm`). `temperature`
    divides the logits and `biases` are added before softmax (see `inference.calibration`).
    `operating_point` names the entry of
    `operating_points` whose threshold decides findings. `prevalence` is the share of lung opacity
    among the films that the probabilities are calibrated on; None where that is not known.
    `film_kinds` is None for a network that does not tell them. `files` maps every file of the
    bundle, by its path with forward slashes, to its SHA-256.
    """

    format: Literal[1]
    id: Name
    version: Name
    manufacturer: Annotated[str, Field(min_length=1, max_length=64)]
    evaluation_only: bool
    intended_use: Annotated[str, Field(min_length=1)]
    input_size: Annotated[int, Field(ge=64, le=2048, multiple_of=32)]
    contrast: Contrast = "as_shown"
    classes: tuple[Literal["normal"], Literal["not_normal"], Literal["lung_opacity"]]
    temperature: Annotated[float, Field(gt=0)]
    biases: tuple[float, float, float] = (0.0, 0.0, 0.0)
    operating_point: str
    operating_points: Mapping[str, OperatingPoint]
    boxes: Suppression
    trained_on: TrainedOn
    metrics: Mapping[str, Metric]
    prevalence: Prevalence | None = None
    film_kinds: FilmKinds | None = None
    files: Mapping[str, Digest] = field(default_factory=dict)
