"""What travels through inference: boxes, probabilities, a Reading, a Refusal. Plain data only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Box:
    """A lung opacity on the full-size image.

    `x`, `y` are the top left corner and `width`, `height` the extent, in pixels of the stored
    image (column, row; origin top left). `score` is the detector's confidence, 0 to 1.
    """

    x: float
    y: float
    width: float
    height: float
    score: float


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Calibrated probabilities of the three RSNA classes, 0 to 1, with sum 1."""

    normal: float
    not_normal: float
    lung_opacity: float


class Finding(StrEnum):
    """What a reading or a study amounts to at the bundle's operating point."""

    OPACITY = "opacity"
    """Pneumonia probability at or above the operating point."""
    ABNORMAL = "abnormal"
    """Below the operating point, and "not normal" more probable than "normal"."""
    NORMAL = "normal"
    """Below the operating point, and "normal" at least as probable as "not normal"."""
    FAILED = "failed"
    """No image could be read. Never to be taken for normal."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model says of one image.

    `rows` and `columns` are the stored image's size in pixels, `pneumonia` the calibrated
    probability of pneumonia (0 to 1), adjusted like all probabilities and the threshold where the
    site's prevalence is set, `boxes` the opacities by falling score (none unless
    `finding` is OPACITY), `threshold` the operating point that `finding` was decided at and
    `bundle` the name and version of the model, as in "hilum-default 1".
    """

    rows: int
    columns: int
    probabilities: Probabilities
    pneumonia: float
    boxes: tuple[Box, ...]
    finding: Finding
    threshold: float
    bundle: str


class RefusalCode(StrEnum):
    """Why an image was not read. The text that people see is in `Refusal.reason`."""

    NOT_DICOM = "not_dicom"
    UNSUPPORTED = "unsupported"
    """SOP class, transfer syntax or pixel format that Hilum does not read."""
    NO_PIXELS = "no_pixels"
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too_large"
    MODALITY = "modality"
    BODY_PART = "body_part"
    VIEW = "view"
    """A lateral or other non-frontal view, or a frontal one that is not upright."""
    AGE = "age"
    """Younger than the configured limit."""
    FRAMES = "frames"
    """More than one frame."""
    NOT_A_CHEST = "not_a_chest"
    INVERTED = "inverted"
    """Air is shown bright and bone dark."""
    ALTERED_DUPLICATE = "altered_duplicate"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an image was not analysed: a code for programs and one clear sentence for people.

    The sentence holds no patient data.
    """

    code: RefusalCode
    reason: str


class RefusedError(Exception):
    """Raised where an image turns out not to be readable; carries the Refusal."""

    def __init__(self, code: RefusalCode, reason: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(code, reason)

    def __reduce__(self) -> tuple[type[RefusedError], tuple[RefusalCode, str]]:
        """Let a child process hand it to its parent."""
        return type(self), (self.refusal.code, self.refusal.reason)


@dataclass(frozen=True, slots=True)
class Device:
    """The algorithm as the reports name it.

    `uid` is derived from name, version, weights digest and configuration, so that a changed model
    is a different device. `evaluation_only` puts "for evaluation, not for clinical use" into every
    report. `prevalence` is the site's, 0 to 1, that the probabilities are adjusted to; None: they
    are not adjusted. `operating_point` is the bundle's name for the threshold of findings.
    """

    name: str
    version: str
    weights_digest: str
    manufacturer: str
    uid: str
    evaluation_only: bool
    prevalence: float | None = None
    operating_point: str | None = None
