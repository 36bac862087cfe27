"""Which films are read at all: frontal chests of adults. Decides by header, then by pixels.

A refused film is reported as not analysed, never as negative, so doubt speaks for refusing; but
what a header leaves open is not held against a film.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference import elements
from inference.anatomy import Part, View, part_of, view_of
from inference.reading import Refusal, RefusalCode
from settings import Eligibility

_CR = "1.2.840.10008.5.1.4.1.1.1"
_DX_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
_DX_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
_SC = "1.2.840.10008.5.1.4.1.1.7"
_SC_GREY_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
_SC_GREY_WORD = "1.2.840.10008.5.1.4.1.1.7.3"
_RADIOGRAPHS = {_CR, _DX_PRESENTATION, _DX_PROCESSING}
SOP_CLASSES = frozenset({*_RADIOGRAPHS, _SC, _SC_GREY_BYTE, _SC_GREY_WORD})
"""The SOP classes whose images are read: CR, DX, secondary capture of one sort or another."""

MIN_SIDE = 128
"""Shortest side, in pixels, of an image that a film can be."""
MAX_ASPECT = 3.0
"""Longest over shortest side of an image that a chest film can be."""

# AnatomicRegionSequence, PS3.16 CID 4031 (SNOMED CT and its older SRT codes).
_CHEST_CODES = {"51185008", "816094009", "43799004", "39607008", "T-D3000", "T-D3200", "T-28000"}
# ViewCodeSequence, PS3.16 CID 4010.
_FRONTAL_CODES = {"399348003", "272479007", "399033003", "R-10206", "R-40888", "R-10214", "R-10202"}
_VIEW_NAMES = {
    View.LATERAL: "a lateral view",
    View.OBLIQUE: "an oblique view",
    View.OTHER: "not a frontal view",
}
_CR_LATERALS = {"LL", "RL"}  # View Position (PS3.3 C.8.1.1): the terms that are no words
_SILENT_BODY_PARTS = {
    "",
    "OTHER",
    "UNKNOWN",
    "UNDEFINED",
    "UNSPECIFIED",
    "NONE",
    "ANY",
    "NA",
    "N/A",
}
"""Values of Body Part Examined that say nothing."""
_PARTICULAR_DESCRIPTIONS = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
    "BodyPartExamined",
)
"""What describes the film itself, the most particular first."""
_GENERAL_DESCRIPTIONS = (
    "PerformedProcedureStepDescription",
    "StudyDescription",
    "RequestedProcedureDescription",
)
"""What describes all films of a study together."""
_HUMAN_CODES = {"L-85B00", "337915000", "447612001"}


@dataclass(frozen=True, slots=True)
class Stated:
    """What a header states of its film: a chest, a frontal view, an upright picture."""

    chest: bool
    frontal: bool
    upright: bool


def stated(header: Dataset) -> Stated:
    """Return what the header of a film that may be read states; silence states nothing."""
    rows, columns = _orientation(header) or ("", "")
    return Stated(
        chest=_named_part(header) is Part.CHEST,
        frontal=View.FRONTAL in _named_views(header),
        upright=rows in ("L", "R") and columns == "F",
    )


def check_header(header: Dataset, limits: Eligibility) -> Refusal | None:
    """Decide by tags alone whether a film is read; None if nothing speaks against it."""
    return (
        _check_object(header)
        or _check_modality(header, limits)
        or _check_body_part(header)
        or _check_view(header)
        or _check_age(header, limits)
    )


def check_pixels(display: NDArray[np.uint8]) -> Refusal | None:
    """Decide by a look at the shown film, (rows, columns), whether it can be a chest film at all.

    Refuses only what no chest film is: too small, too long, or (nearly) of one grey.
    """
    rows, columns = display.shape
    if min(rows, columns) < MIN_SIDE:
        return Refusal(
            RefusalCode.NOT_A_CHEST,
            f"The image has only {rows} x {columns} pixels, too few for a chest film.",
        )
    if max(rows, columns) > MAX_ASPECT * min(rows, columns):
        return Refusal(
            RefusalCode.NOT_A_CHEST,
            f"The image of {rows} x {columns} pixels is too long and narrow for a chest film.",
        )
    if _is_blank(display):
        return Refusal(RefusalCode.NOT_A_CHEST, "The image is blank.")
    return None


def _check_object(header: Dataset) -> Refusal | None:
    sop_class = elements.text(header, "SOPClassUID")
    if sop_class not in SOP_CLASSES:
        return Refusal(
            RefusalCode.UNSUPPORTED,
            "The object is not a radiograph (CR, DX or secondary capture).",
        )
    frames = elements.integer(header, "NumberOfFrames") or 1
    if frames > 1:
        return Refusal(
            RefusalCode.FRAMES, f"The image has {frames} frames; only single films are read."
        )
    samples = elements.integer(header, "SamplesPerPixel") or 1
    if samples not in (1, 3) or (samples == 3 and sop_class in _RADIOGRAPHS):
        return Refusal(
            RefusalCode.UNSUPPORTED,
            f"The image has {samples} samples per pixel, which a radiograph does not have.",
        )
    return None


def _check_modality(header: Dataset, limits: Eligibility) -> Refusal | None:
    modality = elements.text(header, "Modality").upper()
    if modality in limits.modalities:
        return None
    if not modality and elements.text(header, "SOPClassUID") in _RADIOGRAPHS:
        return None
    if not modality:
        return Refusal(
            RefusalCode.MODALITY, "The header names no modality, so it may be no radiograph."
        )
    named = modality if re.fullmatch("[A-Z]{2,6}", modality) else "unknown"
    return Refusal(
        RefusalCode.MODALITY,
        f"The modality is {named}; only {', '.join(limits.modalities)} are read.",
    )


def _check_body_part(header: Dataset) -> Refusal | None:
    if Part.ANIMAL in _described_parts(header) or _is_animal(header):
        return Refusal(RefusalCode.BODY_PART, "The film is of an animal.")
    part = _named_part(header)
    silent = elements.text(header, "BodyPartExamined").upper() in _SILENT_BODY_PARTS
    if part is Part.CHEST or (part is None and silent):
        return None
    if part is None:
        return Refusal(
            RefusalCode.BODY_PART,
            "The body part that the header names is not known to be the chest.",
        )
    return Refusal(RefusalCode.BODY_PART, "The header names another body part than the chest.")


def _named_part(header: Dataset) -> Part | None:
    """The body part by code, else by its own element, else by the most particular description."""
    parts = [_coded_part(item) for item in elements.items(header, "AnatomicRegionSequence")]
    parts.append(part_of(elements.text(header, "BodyPartExamined")))
    return next((part for part in parts + _described_parts(header) if part is not None), None)


def _described_parts(header: Dataset) -> list[Part | None]:
    keywords = _PARTICULAR_DESCRIPTIONS + _GENERAL_DESCRIPTIONS
    return [part_of(elements.text(header, keyword)) for keyword in keywords]


def _coded_part(region: Dataset) -> Part | None:
    if elements.text(region, "CodeValue") in _CHEST_CODES:
        return Part.CHEST
    return part_of(elements.text(region, "CodeMeaning"))


def _is_animal(header: Dataset) -> bool:
    """By the elements that only veterinary objects have (PS3.3 C.7.1.1)."""
    species = elements.items(header, "PatientSpeciesCodeSequence")
    if species and elements.text(species[0], "CodeValue") not in _HUMAN_CODES:
        return True
    described = elements.text(header, "PatientSpeciesDescription").casefold()
    return described not in ("", "human", "homo sapiens") or bool(
        elements.text(header, "PatientBreedDescription")
    )


def _check_view(header: Dataset) -> Refusal | None:
    """By every element that may name a view: one that names another than the frontal refuses."""
    views = _named_views(header)
    other = next((view for view in views if view not in (None, View.FRONTAL)), None)
    if other is not None:
        return Refusal(
            RefusalCode.VIEW, f"The film is {_VIEW_NAMES[other]}; only frontal films are read."
        )
    return _check_orientation(header, known_frontal=View.FRONTAL in views)


def _named_views(header: Dataset) -> list[View | None]:
    position = elements.text(header, "ViewPosition").upper()
    views = [
        View.LATERAL if position in _CR_LATERALS else view_of(position),
        _coded_view(header),
        _described_view(header, _PARTICULAR_DESCRIPTIONS),
    ]
    if not any(views):
        # A study's description may speak of films beside this one.
        views.append(_described_view(header, _GENERAL_DESCRIPTIONS))
    return views


def _coded_view(header: Dataset) -> View | None:
    for item in elements.items(header, "ViewCodeSequence"):
        if elements.text(item, "CodeValue") in _FRONTAL_CODES:
            return View.FRONTAL
        return view_of(elements.text(item, "CodeMeaning"))
    return None


def _described_view(header: Dataset, keywords: tuple[str, ...]) -> View | None:
    """The view of the first description that names one ("view: AP" in RSNA's films)."""
    views = (view_of(elements.text(header, keyword)) for keyword in keywords)
    return next((view for view in views if view is not None), None)


def _check_orientation(header: Dataset, *, known_frontal: bool) -> Refusal | None:
    """By Patient Orientation (PS3.3 C.7.6.1.1.1): where the rows and the columns of the film run.

    A frontal film's rows run left or right and its columns to the feet.
    """
    ends = _orientation(header)
    if ends is None:
        return None
    if not known_frontal and {"A", "P"} & set(ends):
        return Refusal(RefusalCode.VIEW, "The film is a lateral view; only frontal films are read.")
    if ends[0] in ("F", "H") or ends[1] in ("H", "L", "R"):
        return Refusal(
            RefusalCode.VIEW,
            "The film is stored rotated or upside down; only upright frontal films are read.",
        )
    return None


def _orientation(header: Dataset) -> tuple[str, str] | None:
    """Where rows and columns run, by the first letter; None where the header does not tell."""
    ends = [end[:1].upper() for end in elements.texts(header, "PatientOrientation")]
    return (ends[0], ends[1]) if len(ends) == 2 else None


def _check_age(header: Dataset, limits: Eligibility) -> Refusal | None:
    age = _age_years(header)
    if age is None or age >= limits.min_age_years:
        return None
    return Refusal(
        RefusalCode.AGE,
        f"The patient is younger than {limits.min_age_years} years; such films are not read.",
    )


def _age_years(header: Dataset) -> float | None:
    """Patient's Age (PS3.5 6.2, AS), also without its unit, else from birth to study."""
    match = re.fullmatch(r"(\d{1,3})\s*([DWMY]?)", elements.text(header, "PatientAge").upper())
    if match:
        per_year = {"D": 365.25, "W": 52.18, "M": 12.0}.get(match[2], 1.0)
        return int(match[1]) / per_year
    born = _date(header, "PatientBirthDate")
    taken = next(
        filter(
            None, (_date(header, f"{event}Date") for event in ("Study", "Acquisition", "Content"))
        ),
        None,
    )
    if born is None or taken is None or taken < born:
        return None
    return (taken - born).days / 365.25


def _date(header: Dataset, keyword: str) -> date | None:
    digits = elements.text(header, keyword).replace(".", "")[:8]  # ACR-NEMA wrote 1990.01.31
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def _is_blank(display: NDArray[np.uint8]) -> bool:
    """Whether hardly anything differs from anything: 98 of 100 pixels within 8 greys."""
    small = cv2.resize(display, (128, 128), interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (1, 99))
    return bool(high - low < 8)
