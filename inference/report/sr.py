"""A study's readings as a Comprehensive 3D SR: TID 1500 with a planar group per box."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage

from inference.reading import Box, Device, Finding, Reading, Refusal
from inference.report import codes, tree, words
from inference.report.equipment import stamp
from inference.report.header import FilmHeader
from inference.report.uids import Namer

SERIES_NUMBER = 9001


def build_sr(
    films: Sequence[FilmHeader],
    results: Sequence[Reading | Refusal],
    finding: Finding,
    device: Device,
    namer: Namer,
    recorded_at: datetime,
    revision: int,
    predecessor: tuple[str, str, str, str] | None,
) -> Dataset:
    """Return the report of one study.

    `films` and `results` belong together pairwise; `predecessor` is (study, series, SOP class, SOP
    instance) of the report that this one revises.
    """
    readings = [result for result in results if isinstance(result, Reading)]
    refusals = [result for result in results if isinstance(result, Refusal)]
    document = Dataset()
    document.update(films[0].shared)
    stamp(document, device, recorded_at)
    document.SOPClassUID = Comprehensive3DSRStorage
    document.SOPInstanceUID = namer.instance("sr")
    document.SeriesInstanceUID = namer.series("sr")
    document.SeriesNumber = SERIES_NUMBER
    document.InstanceNumber = revision
    document.Modality = "SR"
    document.SeriesDescription = f"{device.manufacturer} report, {words.NOT_VERIFIED}"[:64]
    document.ReferencedPerformedProcedureStepSequence = []
    document.PerformedProcedureCodeSequence = []
    document.CompletionFlag = "PARTIAL" if refusals else "COMPLETE"
    if refusals:
        document.CompletionFlagDescription = (
            f"{len(refusals)} of {len(results)} images not analysed"
            if readings
            else "No image could be analysed"
        )
    document.VerificationFlag = "UNVERIFIED"
    document.PreliminaryFlag = "PRELIMINARY"
    document.CurrentRequestedProcedureEvidenceSequence = _evidence(films)
    if predecessor is not None:
        document.PredecessorDocumentsSequence = [_instance(*predecessor)]
    document.update(
        tree.root(
            codes.REPORT_TITLE,
            "1500",
            [
                tree.code(codes.LANGUAGE, codes.ENGLISH, tree.HAS_CONCEPT_MOD),
                *_observer(device),
                tree.code(
                    codes.PROCEDURE_REPORTED,
                    _procedure(films),
                    tree.HAS_CONCEPT_MOD,
                ),
                _image_library(films),
                tree.container(codes.IMAGING_MEASUREMENTS, _groups(films, results, device, namer)),
                tree.container(
                    codes.QUALITATIVE_EVALUATIONS,
                    _evaluations(finding, readings, refusals, device),
                ),
            ],
        )
    )
    return document


def _procedure(films: Sequence[FilmHeader]) -> Code:
    return next((film.procedure for film in films if film.procedure), codes.PLAIN_CHEST_XRAY)


def _observer(device: Device) -> list[Dataset]:
    relation = tree.HAS_OBS_CONTEXT
    return [
        tree.code(codes.OBSERVER_TYPE, codes.DEVICE, relation),
        tree.uid(codes.DEVICE_OBSERVER_UID, device.uid, relation),
        tree.text(codes.DEVICE_OBSERVER_NAME, device.name, relation),
        tree.text(codes.DEVICE_OBSERVER_MANUFACTURER, device.manufacturer, relation),
        tree.text(codes.DEVICE_OBSERVER_MODEL_NAME, device.name, relation),
        tree.text(codes.DEVICE_OBSERVER_SERIAL_NUMBER, device.version, relation),
    ]


def _algorithm(device: Device, threshold: float) -> list[Dataset]:
    relation = tree.HAS_CONCEPT_MOD
    return [
        tree.text(codes.ALGORITHM_NAME, device.name, relation),
        tree.text(codes.ALGORITHM_VERSION, device.version, relation),
        tree.text(codes.ALGORITHM_MANUFACTURER, device.manufacturer, relation),
        tree.text(codes.ALGORITHM_PARAMETERS, f"threshold {round(threshold * 100, 2)} %", relation),
    ]


def _image_library(films: Sequence[FilmHeader]) -> Dataset:
    return tree.container(
        codes.IMAGE_LIBRARY,
        [
            tree.container(
                codes.IMAGE_LIBRARY_GROUP,
                [
                    tree.image(
                        codes.SOURCE,
                        film.sop_class_uid,
                        film.sop_instance_uid,
                        tree.CONTAINS,
                        _descriptors(film),
                    )
                    for film in films
                ],
            )
        ],
    )


def _descriptors(film: FilmHeader) -> list[Dataset]:
    """TID 1602 and TID 1603, as far as the film tells."""
    relation = tree.HAS_ACQ_CONTEXT
    items = [tree.code(codes.MODALITY, _modality(film), relation)]
    if film.rows and film.columns:
        items += [
            tree.number(codes.PIXEL_DATA_ROWS, film.rows, codes.PIXELS, relation),
            tree.number(codes.PIXEL_DATA_COLUMNS, film.columns, codes.PIXELS, relation),
        ]
    if film.orientation:
        items += [
            tree.text(codes.PATIENT_ORIENTATION_ROW, film.orientation[0], relation),
            tree.text(codes.PATIENT_ORIENTATION_COLUMN, film.orientation[1], relation),
        ]
    if film.spacing:
        row, column = film.spacing
        items += [
            tree.number(codes.HORIZONTAL_PIXEL_SPACING, column, codes.MILLIMETER, relation),
            tree.number(codes.VERTICAL_PIXEL_SPACING, row, codes.MILLIMETER, relation),
        ]
    return items


def _modality(film: FilmHeader) -> Code:
    return _MODALITIES.get(film.modality, codes.OTHER_MODALITY)


_MODALITIES = {
    "CR": codes.COMPUTED_RADIOGRAPHY,
    "DX": codes.DIGITAL_RADIOGRAPHY,
    "DR": codes.DIGITAL_RADIOGRAPHY,
}


def _groups(
    films: Sequence[FilmHeader],
    results: Sequence[Reading | Refusal],
    device: Device,
    namer: Namer,
) -> list[Dataset]:
    """TID 1410, one per box."""
    groups = []
    for film, result in zip(films, results, strict=True):
        if isinstance(result, Refusal):
            continue
        for number, box in enumerate(result.boxes, start=1):
            label = f"Opacity {len(groups) + 1}"
            uid = namer.tracking(film.sop_instance_uid, number)
            groups.append(_group(film, result, box, device, label, uid))
    return groups


def _group(
    film: FilmHeader, reading: Reading, box: Box, device: Device, label: str, uid: str
) -> Dataset:
    return tree.container(
        codes.MEASUREMENT_GROUP,
        [
            tree.text(codes.TRACKING_IDENTIFIER, label, tree.HAS_OBS_CONTEXT),
            tree.uid(codes.TRACKING_UID, uid, tree.HAS_OBS_CONTEXT),
            tree.code(codes.FINDING, codes.ABNORMAL_OPACITY, tree.CONTAINS),
            tree.code(codes.FINDING_SITE, _site(film, reading, box), tree.HAS_CONCEPT_MOD),
            *_algorithm(device, reading.threshold),
            tree.number(
                codes.CERTAINTY_OF_FINDING, _percent(box.score), codes.PERCENT, tree.CONTAINS
            ),
            tree.code(codes.GEOMETRIC_PURPOSE, codes.BOUNDED_BY, tree.CONTAINS),
            tree.polyline(
                codes.IMAGE_REGION,
                _corners(box, reading),
                tree.CONTAINS,
                [
                    tree.image(
                        codes.SOURCE,
                        film.sop_class_uid,
                        film.sop_instance_uid,
                        tree.SELECTED_FROM,
                    )
                ],
            ),
        ],
        template="1410",
    )


def _corners(box: Box, reading: Reading) -> list[tuple[float, float]]:
    """Return the five points of a closed box, clockwise from the top left, inside the image."""
    left, right = (_within(x, reading.columns) for x in (box.x, box.x + box.width))
    top, bottom = (_within(y, reading.rows) for y in (box.y, box.y + box.height))
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def _within(value: float, end: int) -> float:
    return min(max(round(value, 2), 0.0), float(end))


def _site(film: FilmHeader, reading: Reading, box: Box) -> Code:
    return codes.LUNG


def _evaluations(
    finding: Finding,
    readings: Sequence[Reading],
    refusals: Sequence[Refusal],
    device: Device,
) -> list[Dataset]:
    comment = words.sentence(finding, readings, refusals, device)
    return [
        tree.text(codes.COMMENT, comment, tree.CONTAINS),
        tree.code(
            codes.PROCESSING_SUMMARY, _processing(finding, readings, refusals), tree.CONTAINS
        ),
        _presence(codes.PNEUMONIA, finding, max((r.pneumonia for r in readings), default=None)),
        _presence(
            codes.ABNORMAL_OPACITY,
            finding,
            max((r.probabilities.lung_opacity for r in readings), default=None),
        ),
        tree.code(codes.NORMALITY, _NORMALITY[finding], tree.CONTAINS),
    ]


def _processing(finding: Finding, readings: Sequence[Reading], refusals: Sequence[Refusal]) -> Code:
    found = finding is Finding.OPACITY
    if not readings:
        return codes.NONE_SUCCEEDED
    if refusals:
        return (
            codes.SOME_SUCCEEDED_WITH_FINDINGS if found else codes.SOME_SUCCEEDED_WITHOUT_FINDINGS
        )
    return codes.ALL_SUCCEEDED_WITH_FINDINGS if found else codes.ALL_SUCCEEDED_WITHOUT_FINDINGS


def _presence(name: Code, finding: Finding, probability: float | None) -> Dataset:
    """Return whether the study shows `name`, with its probability where there is one."""
    properties = []
    if probability is not None:
        modifier = tree.code(codes.FINDING, name, tree.HAS_CONCEPT_MOD)
        properties = [
            tree.number(
                codes.PROBABILITY,
                _percent(probability),
                codes.PERCENT,
                tree.HAS_PROPERTIES,
                [modifier],
            )
        ]
    return tree.code(name, _PRESENCE[finding], tree.CONTAINS, properties)


_PRESENCE = {
    Finding.OPACITY: codes.PRESENT,
    Finding.ABNORMAL: codes.ABSENT,
    Finding.NORMAL: codes.ABSENT,
    Finding.FAILED: codes.UNDETERMINED,
}
_NORMALITY = {
    Finding.OPACITY: codes.ABNORMAL,
    Finding.ABNORMAL: codes.ABNORMAL,
    Finding.NORMAL: codes.NORMAL,
    Finding.FAILED: codes.NORMALITY_UNDETERMINED,
}


def _percent(probability: float) -> float:
    return round(probability * 100, 2)


def _evidence(films: Sequence[FilmHeader]) -> list[Dataset]:
    """Return every film of the study, by series (PS3.3 C.17.2.1)."""
    by_series: dict[str, list[Dataset]] = {}
    for film in films:
        by_series.setdefault(film.series_instance_uid, []).append(
            tree.reference(film.sop_class_uid, film.sop_instance_uid)
        )
    return [_study(films[0].study_instance_uid, by_series)]


def _instance(study: str, series: str, sop_class: str, instance: str) -> Dataset:
    return _study(study, {series: [tree.reference(sop_class, instance)]})


def _study(study: str, by_series: dict[str, list[Dataset]]) -> Dataset:
    item = Dataset()
    item.ReferencedSeriesSequence = []
    for series, references in by_series.items():
        entry = Dataset()
        entry.ReferencedSOPSequence = references
        entry.SeriesInstanceUID = series
        item.ReferencedSeriesSequence.append(entry)
    item.StudyInstanceUID = study
    return item
