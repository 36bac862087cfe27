"""What the standard asks of our objects' attributes (PS3.3), as tables. No code judges here.

Only attributes that must be there, or whose values are enumerated, stand here; a test holds the
tables against highdicom's copy of the standard, so that no mandatory one is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.uid import (
    Comprehensive3DSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)

from inference.report import stored

Value = bytes | list["Parsed"]
Parsed = dict[int, tuple[str, Value]]
"""Tag -> (VR, value without padding, or the items of a sequence)."""
Condition = Callable[[Parsed], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for one attribute.

    `type` is 1 (there, with a value), 2 (there) or 3 (may be absent), as in PS3.5 7.4; where
    `when` is given and not met, it may be absent whatever its type. `one_of` are the values that
    each of its values must be among, `items` what holds for the items of a sequence.
    """

    keyword: str
    tag: int
    type: int
    one_of: frozenset[bytes]
    items: tuple[Rule, ...]
    when: Condition | None


def rule(
    keyword: str,
    kind: int,
    *one_of: str,
    items: tuple[Rule, ...] = (),
    when: Condition | None = None,
) -> Rule:
    """Make the rule of an attribute by its keyword."""
    values = frozenset(value.encode("ascii") for value in one_of)
    return Rule(keyword, stored.tag(keyword), kind, values, items, when)


def has(keyword: str) -> Condition:
    """Hold where the attribute is there."""
    tag = stored.tag(keyword)
    return lambda parsed: tag in parsed


def lacks(keyword: str) -> Condition:
    """Hold where the attribute is not there."""
    tag = stored.tag(keyword)
    return lambda parsed: tag not in parsed


def is_(keyword: str, value: str) -> Condition:
    """Hold where the attribute has this value."""
    tag, expected = stored.tag(keyword), value.encode("ascii")
    return lambda parsed: tag in parsed and parsed[tag][1] == expected


CODE = (  # 8.8
    rule("CodeValue", 1, when=lambda each: not _long_code(each)),
    rule("CodingSchemeDesignator", 1, when=lacks("URNCodeValue")),
    rule("CodeMeaning", 1),
)
REFERENCE = (rule("ReferencedSOPClassUID", 1), rule("ReferencedSOPInstanceUID", 1))  # 10.8

_COMMON = (
    # Patient, C.7.1.1
    rule("PatientName", 2),
    rule("PatientID", 2),
    rule("PatientBirthDate", 2),
    rule("PatientSex", 2, "M", "F", "O"),
    rule("PatientIdentityRemoved", 3, "YES", "NO"),
    # General Study, C.7.2.1, and Patient Study, C.7.2.2
    rule("StudyInstanceUID", 1),
    rule("StudyDate", 2),
    rule("StudyTime", 2),
    rule("ReferringPhysicianName", 2),
    rule("StudyID", 2),
    rule("AccessionNumber", 2),
    rule("SmokingStatus", 3, "YES", "NO", "UNKNOWN"),
    # General Equipment, C.7.5.1
    rule("Manufacturer", 2),
    # SOP Common, C.12.1
    rule("SOPInstanceUID", 1),
    rule("InstanceCreationDate", 1),
    rule("InstanceCreationTime", 1),
)
_HIERARCHY = (  # C.17.2.1
    rule("StudyInstanceUID", 1),
    rule(
        "ReferencedSeriesSequence",
        1,
        items=(rule("SeriesInstanceUID", 1), rule("ReferencedSOPSequence", 1, items=REFERENCE)),
    ),
)
_REPORT = (
    *_COMMON,
    rule("SOPClassUID", 1, str(Comprehensive3DSRStorage)),
    # SR Document Series, C.17.1
    rule("Modality", 1, "SR"),
    rule("SeriesInstanceUID", 1),
    rule("SeriesNumber", 1, "9001"),
    rule("ReferencedPerformedProcedureStepSequence", 2),
    # SR Document General, C.17.2
    rule("InstanceNumber", 1),
    rule("CompletionFlag", 1, "PARTIAL", "COMPLETE"),
    rule("CompletionFlagDescription", 1, when=is_("CompletionFlag", "PARTIAL")),
    rule("VerificationFlag", 1, "UNVERIFIED"),  # ours always are
    rule("PreliminaryFlag", 1, "PRELIMINARY"),
    rule("ContentDate", 1),
    rule("ContentTime", 1),
    rule("PerformedProcedureCodeSequence", 2, items=CODE),
    rule("CurrentRequestedProcedureEvidenceSequence", 1, items=_HIERARCHY),
    rule("PredecessorDocumentsSequence", 3, items=_HIERARCHY),
    # SR Document Content, C.17.3: the root is a container; what lies below, see `content_tree`
    rule("ValueType", 1, "CONTAINER"),
    rule("ConceptNameCodeSequence", 1, items=CODE),
    rule("ContinuityOfContent", 1, "SEPARATE"),
    rule(
        "ContentTemplateSequence",
        1,
        items=(rule("MappingResource", 1), rule("TemplateIdentifier", 1)),
    ),
    rule("ContentSequence", 1),
)
_OVERLAY = (
    *_COMMON,
    rule("SOPClassUID", 1, str(SecondaryCaptureImageStorage)),
    # General Series, C.7.3.1, SC Equipment, C.8.6.1, and SC Image, C.8.6.2
    rule("Modality", 1, "OT"),
    rule("SeriesInstanceUID", 1),
    rule("SeriesNumber", 2, "9002"),
    rule("BodyPartExamined", 1, "CHEST"),  # with it, Laterality (2C) is not asked for
    rule("ConversionType", 1, "DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"),
    rule("DateOfSecondaryCapture", 1),
    rule("TimeOfSecondaryCapture", 1),
    # General Image, C.7.6.1
    rule("InstanceNumber", 2),
    rule("PatientOrientation", 2),
    rule("ContentDate", 2),
    rule("ContentTime", 2),
    rule("ImageType", 1, "DERIVED", "SECONDARY", "OTHER"),
    rule("BurnedInAnnotation", 1, "YES"),  # ours always have some
    rule("LossyImageCompression", 1, "01"),  # once lossy, for ever lossy
    rule("LossyImageCompressionRatio", 1, when=is_("LossyImageCompression", "01")),
    rule("LossyImageCompressionMethod", 1, when=is_("LossyImageCompression", "01")),
    rule(
        "SourceImageSequence",
        1,
        items=(*REFERENCE, rule("PurposeOfReferenceCodeSequence", 1, items=CODE)),
    ),
    # Common Instance Reference, C.12.2
    rule(
        "ReferencedSeriesSequence",
        1,
        items=(
            rule("SeriesInstanceUID", 1),
            rule("ReferencedInstanceSequence", 1, items=REFERENCE),
        ),
    ),
    # Image Pixel, C.7.6.3
    rule("SamplesPerPixel", 1),
    rule("PhotometricInterpretation", 1, "RGB", "YBR_FULL", "YBR_FULL_422"),
    rule("PlanarConfiguration", 1),
    rule("Rows", 1),
    rule("Columns", 1),
    rule("BitsAllocated", 1),
    rule("BitsStored", 1),
    rule("HighBit", 1),
    rule("PixelRepresentation", 1),
    rule("PixelData", 1),
)
_TRACKED = (
    rule("TrackingID", 1, when=has("TrackingUID")),
    rule("TrackingUID", 1, when=has("TrackingID")),
)
_UNITS = ("PIXEL", "DISPLAY")
_TEXT = (
    rule("UnformattedTextValue", 1),
    rule("BoundingBoxAnnotationUnits", 1, *_UNITS, when=has("BoundingBoxTopLeftHandCorner")),
    rule("BoundingBoxTopLeftHandCorner", 1, when=lacks("AnchorPoint")),
    rule("BoundingBoxBottomRightHandCorner", 1, when=has("BoundingBoxTopLeftHandCorner")),
    rule(
        "BoundingBoxTextHorizontalJustification",
        1,
        "LEFT",
        "RIGHT",
        "CENTER",
        when=has("BoundingBoxTopLeftHandCorner"),
    ),
    rule("AnchorPointAnnotationUnits", 1, *_UNITS, when=has("AnchorPoint")),
    rule("AnchorPoint", 1, when=lacks("BoundingBoxTopLeftHandCorner")),
    rule("AnchorPointVisibility", 1, "Y", "N", when=has("AnchorPoint")),
    *_TRACKED,
)
_GRAPHIC = (
    rule("GraphicAnnotationUnits", 1, *_UNITS),
    rule("GraphicDimensions", 1),
    rule("NumberOfGraphicPoints", 1),
    rule("GraphicData", 1),
    rule("GraphicType", 1, "POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE"),
    rule("GraphicFilled", 1, "Y", "N"),
    *_TRACKED,
)
_LUT = (rule("LUTDescriptor", 1), rule("LUTData", 1))
_PRESENTATION = (
    *_COMMON,
    rule("SOPClassUID", 1, str(GrayscaleSoftcopyPresentationStateStorage)),
    # General Series, C.7.3.1, and Presentation Series, C.11.9
    rule("Modality", 1, "PR"),
    rule("SeriesInstanceUID", 1),
    rule("SeriesNumber", 2, "9003"),
    rule("BodyPartExamined", 1, "CHEST"),
    # Presentation State Identification, C.11.10
    rule("PresentationCreationDate", 1),
    rule("PresentationCreationTime", 1),
    rule("InstanceNumber", 1),
    rule("ContentLabel", 1),
    rule("ContentDescription", 2),
    rule("ContentCreatorName", 2),
    # Presentation State Relationship, C.11.11
    rule(
        "ReferencedSeriesSequence",
        1,
        items=(
            rule("SeriesInstanceUID", 1),
            rule("ReferencedImageSequence", 1, items=REFERENCE),
        ),
    ),
    # Displayed Area, C.10.4
    rule(
        "DisplayedAreaSelectionSequence",
        1,
        items=(
            rule("ReferencedImageSequence", 1, items=REFERENCE),
            rule("DisplayedAreaTopLeftHandCorner", 1),
            rule("DisplayedAreaBottomRightHandCorner", 1),
            rule("PresentationSizeMode", 1, "SCALE TO FIT", "TRUE SIZE", "MAGNIFY"),
            rule("PresentationPixelAspectRatio", 1, when=lacks("PresentationPixelSpacing")),
        ),
    ),
    # Graphic Annotation, C.10.5, and Graphic Layer, C.10.7
    rule(
        "GraphicAnnotationSequence",
        1,
        items=(
            rule("ReferencedImageSequence", 1, items=REFERENCE),
            rule("GraphicLayer", 1),
            rule("TextObjectSequence", 1, items=_TEXT),
            rule("GraphicObjectSequence", 1, items=_GRAPHIC),
        ),
    ),
    rule(
        "GraphicLayerSequence",
        1,
        items=(rule("GraphicLayer", 1), rule("GraphicLayerOrder", 1)),
    ),
    # Modality LUT, C.11.1, and Softcopy VOI LUT, C.11.8
    rule("RescaleSlope", 1, when=has("RescaleIntercept")),
    rule("RescaleType", 1, when=has("RescaleIntercept")),
    rule(
        "ModalityLUTSequence",
        3,
        items=(rule("LUTDescriptor", 1), rule("ModalityLUTType", 1), rule("LUTData", 1)),
    ),
    rule(
        "SoftcopyVOILUTSequence",
        3,
        items=(
            rule(
                "VOILUTSequence",
                1,
                items=(rule("LUTDescriptor", 1), rule("LUTData", 1)),
                when=lacks("WindowCenter"),
            ),
            rule("WindowCenter", 1, when=lacks("VOILUTSequence")),
            rule("WindowWidth", 1, when=has("WindowCenter")),
            rule("VOILUTFunction", 3, "LINEAR", "LINEAR_EXACT", "SIGMOID"),
        ),
    ),
    # Softcopy Presentation LUT, C.11.6, and Presentation State Shutter, C.11.12
    rule("PresentationLUTShape", 1, "IDENTITY", "INVERSE"),
    rule("ShutterPresentationValue", 1, when=has("ShutterShape")),
)

IODS: dict[str, tuple[Rule, ...]] = {"sr": _REPORT, "sc": _OVERLAY, "gsps": _PRESENTATION}
"""Comprehensive 3D SR (A.35.13), Secondary Capture Image (A.8.1) and Grayscale Softcopy
Presentation State (A.33.1) by the kinds of our objects."""


def _long_code(code: Parsed) -> bool:
    return stored.tag("LongCodeValue") in code or stored.tag("URNCodeValue") in code
