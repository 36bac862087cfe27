"""What an SR says of a study, as a tree of TID 1500: a planar group per box, evaluations below."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.sr.coding import Code

import codes
from inference.reading import Box, Device, Finding
from inference.report import words
from inference.report.header import FilmHeader
from inference.report.regions import Region, regions
from inference.report.study import Film, Study
from inference.report.tree import (
    CONTAINS,
    HAS_ACQ_CONTEXT,
    HAS_CONCEPT_MOD,
    HAS_OBS_CONTEXT,
    HAS_PROPERTIES,
    SELECTED_FROM,
    Coded,
    Container,
    Image,
    Item,
    Number,
    Polyline,
    Text,
    UidRef,
)
from inference.report.uids import Namer
from inference.report.words import ascii_text

MIDLINE_MARGIN = 0.05
"""How far, in widths of the image, a box may reach over its middle and still lie on one side."""


def report_content(study: Study, device: Device, namer: Namer) -> tuple[Item, ...]:
    """Return the children of the report's root (TID 1500)."""
    procedures = [header.procedure for header in study.headers if header.procedure]
    procedure = procedures[0] if procedures else codes.PLAIN_CHEST_XRAY
    return (
        Item(HAS_CONCEPT_MOD, codes.LANGUAGE, Coded(codes.ENGLISH)),
        *_observer(device),
        Item(HAS_CONCEPT_MOD, codes.PROCEDURE_REPORTED, Coded(procedure)),
        _image_library(study),
        Item(
            CONTAINS,
            codes.IMAGING_MEASUREMENTS,
            Container(),
            tuple(_group(region, device) for region in regions(study, namer)),
        ),
        Item(
            CONTAINS,
            codes.QUALITATIVE_EVALUATIONS,
            Container(),
            _evaluations(study, device),
        ),
    )


def _observer(device: Device) -> tuple[Item, ...]:
    """TID 1002 and 1004: an algorithm, no person, has looked."""
    texts = (
        (codes.DEVICE_OBSERVER_NAME, device.name),
        (codes.DEVICE_OBSERVER_MANUFACTURER, device.manufacturer),
        (codes.DEVICE_OBSERVER_MODEL_NAME, f"{device.name} {device.version}"),
        (codes.DEVICE_OBSERVER_SERIAL_NUMBER, device.weights_digest),
    )
    return (
        Item(HAS_OBS_CONTEXT, codes.OBSERVER_TYPE, Coded(codes.DEVICE)),
        Item(HAS_OBS_CONTEXT, codes.DEVICE_OBSERVER_UID, UidRef(device.uid)),
        *(Item(HAS_OBS_CONTEXT, name, Text(ascii_text(text))) for name, text in texts),
    )


def _image_library(study: Study) -> Item:
    """TID 1600, with every image that was looked at; what has no rows and columns is none."""
    entries = tuple(
        Item(
            CONTAINS,
            codes.SOURCE,
            Image(header.sop_class_uid, header.sop_instance_uid),
            tuple(_descriptors(header)),
        )
        for header in study.headers
        if header.rows and header.columns
    )
    group = Item(CONTAINS, codes.IMAGE_LIBRARY_GROUP, Container(), entries)
    return Item(CONTAINS, codes.IMAGE_LIBRARY, Container(), (group,))


def _descriptors(header: FilmHeader) -> Iterator[Item]:
    """TID 1602 and 1603, as far as the film tells."""
    modality = _MODALITIES.get(header.modality, codes.OTHER_MODALITY)
    yield Item(HAS_ACQ_CONTEXT, codes.MODALITY, Coded(modality))
    for name, count in (
        (codes.PIXEL_DATA_ROWS, header.rows),
        (codes.PIXEL_DATA_COLUMNS, header.columns),
    ):
        if count:
            yield Item(HAS_ACQ_CONTEXT, name, Number(count, codes.PIXELS))
    if header.orientation:
        row, column = header.orientation
        yield Item(HAS_ACQ_CONTEXT, codes.PATIENT_ORIENTATION_ROW, Text(row))
        yield Item(HAS_ACQ_CONTEXT, codes.PATIENT_ORIENTATION_COLUMN, Text(column))
    if header.spacing:
        vertical, horizontal = (round(value, 6) for value in header.spacing)
        for name, spacing in (
            (codes.HORIZONTAL_PIXEL_SPACING, horizontal),
            (codes.VERTICAL_PIXEL_SPACING, vertical),
        ):
            yield Item(HAS_ACQ_CONTEXT, name, Number(spacing, codes.MILLIMETER))


def _group(region: Region, device: Device) -> Item:
    """TID 1410, one per box."""
    film, box = region.film, region.box
    source = Image(film.header.sop_class_uid, film.header.sop_instance_uid)
    return Item(
        CONTAINS,
        codes.MEASUREMENT_GROUP,
        Container("1410"),
        (
            Item(HAS_OBS_CONTEXT, codes.TRACKING_IDENTIFIER, Text(region.label)),
            Item(HAS_OBS_CONTEXT, codes.TRACKING_UID, UidRef(region.tracking_uid)),
            Item(CONTAINS, codes.FINDING, Coded(codes.ABNORMAL_OPACITY)),
            Item(HAS_CONCEPT_MOD, codes.FINDING_SITE, Coded(finding_site(film, box))),
            *_algorithm(device, film.reading.threshold),
            Item(CONTAINS, codes.CERTAINTY_OF_FINDING, _percent(box.score)),
            Item(CONTAINS, codes.GEOMETRIC_PURPOSE, Coded(codes.BOUNDED_BY)),
            Item(
                CONTAINS,
                codes.IMAGE_REGION,
                Polyline(region.corners),
                (Item(SELECTED_FROM, codes.SOURCE, source),),
            ),
        ),
    )


def _algorithm(device: Device, threshold: float) -> tuple[Item, ...]:
    """TID 4019."""
    parameters = f"threshold {threshold * 100:.4g} %{words.adjustment(device)}"
    texts = (
        (codes.ALGORITHM_NAME, device.name),
        (codes.ALGORITHM_VERSION, device.version),
        (codes.ALGORITHM_MANUFACTURER, device.manufacturer),
        (codes.ALGORITHM_PARAMETERS, parameters),
    )
    return tuple(Item(HAS_CONCEPT_MOD, name, Text(ascii_text(text))) for name, text in texts)


def finding_site(film: Film, box: Box) -> Code:
    """Return the lung on the patient's side, or "Lung" where the side cannot be told.

    It can be told if the film states the patient's direction of its rows, and the box lies on one
    side of the image's middle.
    """
    middle = film.reading.columns / 2
    margin = film.reading.columns * MIDLINE_MARGIN
    on_right = box.x >= middle - margin
    on_left = box.x + box.width <= middle + margin
    direction = film.header.orientation[0][0] if film.header.orientation else ""
    if on_right == on_left or direction not in ("L", "R"):
        return codes.LUNG
    return codes.LEFT_LUNG if on_right == (direction == "L") else codes.RIGHT_LUNG


def _evaluations(study: Study, device: Device) -> tuple[Item, ...]:
    """Return what is said of the whole study. Nothing here may read as normal where none was read.

    These stand in the evaluations, not in a group without coordinates, which viewers cannot show;
    and no "Finding" stands beside them, because on a negative study it would read as positive.
    """
    finding = study.finding
    summary = codes.processing_summary(finding, complete=not study.refusals)
    opacity = max((reading.probabilities.lung_opacity for reading in study.readings), default=None)
    return (
        Item(CONTAINS, codes.COMMENT, Text(words.sentence(study, device))),
        Item(CONTAINS, codes.PROCESSING_SUMMARY, Coded(summary)),
        _presence(codes.PNEUMONIA, finding, study.probability),
        _presence(codes.ABNORMAL_OPACITY, finding, opacity),
        Item(CONTAINS, codes.NORMALITY, Coded(codes.normality(finding))),
    )


def _presence(name: Code, finding: Finding, probability: float | None) -> Item:
    """Return whether `name` is present, with its probability where there is one (never empty)."""
    properties: tuple[Item, ...] = ()
    if probability is not None:
        of = Item(HAS_CONCEPT_MOD, codes.FINDING, Coded(name))
        properties = (Item(HAS_PROPERTIES, codes.PROBABILITY, _percent(probability), (of,)),)
    return Item(CONTAINS, name, Coded(codes.presence(finding)), properties)


def _percent(probability: float) -> Number:
    return Number(round(float(probability) * 100, 2), codes.PERCENT)


_MODALITIES = {
    "CR": codes.COMPUTED_RADIOGRAPHY,
    "DX": codes.DIGITAL_RADIOGRAPHY,
    "DR": codes.DIGITAL_RADIOGRAPHY,
}
