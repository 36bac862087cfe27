"""The same report as highdicom's own constructors make it, to hold ours against."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from inference.reading import Device, Reading

PERCENT = Code("%", "UCUM", "Percent")


def reference_report(
    source: Dataset,
    reading: Reading,
    device: Device,
    *,
    comment: str,
    sites: list[Code],
    tracking_uids: list[str],
    series_instance_uid: str,
    sop_instance_uid: str,
) -> Comprehensive3DSR:
    """Return the report of one film with at least one box, as highdicom builds it."""
    report = MeasurementReport(
        observation_context=_observer(device),
        procedure_reported=Code("399208008", "SCT", "Plain chest X-ray"),
        imaging_measurements=[
            _group(source, reading, device, number, site, uid)
            for number, (site, uid) in enumerate(zip(sites, tracking_uids, strict=True))
        ],
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept("en", "RFC5646", "English")
        ),
        referenced_images=[source],
    )
    report[0].ContentSequence.append(_evaluations(reading, comment))
    _separate(report[0])
    return Comprehensive3DSR(
        evidence=[source],
        content=report,
        series_instance_uid=series_instance_uid,
        series_number=9001,
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer=device.manufacturer,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )


def _observer(device: Device) -> ObservationContext:
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=device.uid,
                name=device.name,
                manufacturer_name=device.manufacturer,
                model_name=f"{device.name} {device.version}",
                serial_number=device.weights_digest,
            ),
        )
    )


def _group(
    source: Dataset, reading: Reading, device: Device, number: int, site: Code, uid: str
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    box = reading.boxes[number]
    left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    region = ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=np.array(
            [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        ),
        source_image=SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid, identifier=f"Opacity {number + 1}"),
        referenced_region=region,
        finding_type=Code("112033", "DCM", "Abnormal opacity"),
        finding_sites=[FindingSite(site)],
        algorithm_id=AlgorithmIdentification(
            name=device.name,
            version=device.version,
            manufacturer=device.manufacturer,
            parameters=[f"threshold {reading.threshold * 100:.4g} %"],
        ),
        measurements=[
            Measurement(
                name=Code("111012", "DCM", "Certainty of Finding"),
                value=round(box.score * 100, 2),
                unit=PERCENT,
            )
        ],
        geometric_purpose=Code("75958009", "SCT", "Bounded by"),
    )


def _evaluations(reading: Reading, comment: str) -> ContainerContentItem:
    contains = RelationshipTypeValues.CONTAINS
    pneumonia = Code("233604007", "SCT", "Pneumonia")
    opacity = Code("112033", "DCM", "Abnormal opacity")
    container = ContainerContentItem(
        name=Code("C0034375", "UMLS", "Qualitative Evaluations"), relationship_type=contains
    )
    container.ContentSequence = ContentSequence(
        [
            TextContentItem(codes.DCM.Comment, comment, contains),
            CodeContentItem(
                Code("111017", "DCM", "CAD Processing and Findings Summary"),
                Code("111242", "DCM", "All algorithms succeeded; with findings"),
                contains,
            ),
            _present(pneumonia, reading.pneumonia),
            _present(opacity, reading.probabilities.lung_opacity),
            CodeContentItem(
                Code("121402", "DCM", "Normality"), Code("263654008", "SCT", "Abnormal"), contains
            ),
        ]
    )
    return container


def _present(name: Code, probability: float) -> CodeContentItem:
    item = CodeContentItem(
        name, Code("52101004", "SCT", "Present"), RelationshipTypeValues.CONTAINS
    )
    number = NumContentItem(
        name=Code("122157", "DCM", "Probability"),
        value=round(probability * 100, 2),
        unit=PERCENT,
        relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
    )
    number.ContentSequence = ContentSequence(
        [CodeContentItem(codes.DCM.Finding, name, RelationshipTypeValues.HAS_CONCEPT_MOD)]
    )
    item.ContentSequence = ContentSequence([number])
    return item


def _separate(item: Dataset) -> None:
    """Make every container SEPARATE, which highdicom offers for none but single ones."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        _separate(child)


def reference_overlay(
    source: Dataset, pixels: np.ndarray, series_instance_uid: str, sop_instance_uid: str
) -> hd.sc.SCImage:
    """Return an overlay of one film as highdicom builds it."""
    return hd.sc.SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=pixels,
        photometric_interpretation="YBR_FULL_422",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=series_instance_uid,
        series_number=9002,
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer="Hilum",
        patient_orientation=("L", "F"),
        transfer_syntax_uid="1.2.840.10008.1.2.4.50",
    )
