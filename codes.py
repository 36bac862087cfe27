"""The coded concepts of reports and messages, and which of them a finding is told by.

A `Code` is (value, scheme, meaning); schemes are named as in PS3.16 chapter 8, also in HL7 v2.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

# Names of content items (PS3.16, TID 1500 and the templates it includes)
REPORT_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
DEVICE_OBSERVER_UID = Code("121012", "DCM", "Device Observer UID")
DEVICE_OBSERVER_NAME = Code("121013", "DCM", "Device Observer Name")
DEVICE_OBSERVER_MANUFACTURER = Code("121014", "DCM", "Device Observer Manufacturer")
DEVICE_OBSERVER_MODEL_NAME = Code("121015", "DCM", "Device Observer Model Name")
DEVICE_OBSERVER_SERIAL_NUMBER = Code("121016", "DCM", "Device Observer Serial Number")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
MODALITY = Code("121139", "DCM", "Modality")
PIXEL_DATA_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_DATA_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
PATIENT_ORIENTATION_ROW = Code("111044", "DCM", "Patient Orientation Row")
PATIENT_ORIENTATION_COLUMN = Code("111043", "DCM", "Patient Orientation Column")
HORIZONTAL_PIXEL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_PIXEL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING = Code("121071", "DCM", "Finding")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
ALGORITHM_MANUFACTURER = Code("122405", "DCM", "Algorithm Manufacturer")
ALGORITHM_PARAMETERS = Code("111002", "DCM", "Algorithm Parameters")
CERTAINTY_OF_FINDING = Code("111012", "DCM", "Certainty of Finding")
GEOMETRIC_PURPOSE = Code("130400", "DCM", "Geometric purpose of region")
IMAGE_REGION = Code("111030", "DCM", "Image Region")
SOURCE = Code("260753009", "SCT", "Source")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")
PROCESSING_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
ABNORMAL_OPACITY = Code("112033", "DCM", "Abnormal opacity")
PROBABILITY = Code("122157", "DCM", "Probability")
NORMALITY = Code("121402", "DCM", "Normality")

# Names of observations in messages alone
DICOM_STUDY = Code("113014", "DCM", "DICOM Study")
"""How IHE RAD TF-2 names an observation whose value is the Study Instance UID (table 4.7-7)."""
SR_INSTANCE = Code("SR_INSTANCE_UID", "99HILUM", "SOP Instance UID of the Structured Report")
RADIOLOGY_OBSERVATION = Code("18782-3", "LN", "Radiology Study observation (narrative)")

# Values
ENGLISH = Code("en", "RFC5646", "English")
DEVICE = Code("121007", "DCM", "Device")
PLAIN_CHEST_XRAY = Code("399208008", "SCT", "Plain chest X-ray")
RIGHT_LUNG = Code("3341006", "SCT", "Right lung")
LEFT_LUNG = Code("44029006", "SCT", "Left lung")
LUNG = Code("39607008", "SCT", "Lung")
BOUNDED_BY = Code("75958009", "SCT", "Bounded by")
PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")
UNDETERMINED = Code("373068000", "SCT", "Undetermined")
NORMAL = Code("17621005", "SCT", "Normal")
ABNORMAL = Code("263654008", "SCT", "Abnormal")
NORMALITY_UNDETERMINED = Code("371934000", "SCT", "Normality Undetermined")
ALL_SUCCEEDED_WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
ALL_SUCCEEDED_WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
SOME_SUCCEEDED_WITH_FINDINGS = Code("111244", "DCM", "Not all algorithms succeeded; with findings")
SOME_SUCCEEDED_WITHOUT_FINDINGS = Code(
    "111243", "DCM", "Not all algorithms succeeded; without findings"
)
NONE_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")
COMPUTED_RADIOGRAPHY = Code("CR", "DCM", "Computed Radiography")
DIGITAL_RADIOGRAPHY = Code("DX", "DCM", "Digital Radiography")
OTHER_MODALITY = Code("OT", "DCM", "Other")
SOURCE_IMAGE_FOR_PROCESSING = Code("121322", "DCM", "Source image for image processing operation")

# Units
PERCENT = Code("%", "UCUM", "Percent")
MILLIMETER = Code("mm", "UCUM", "mm")
PIXELS = Code("{pixels}", "UCUM", "Pixels")


def presence(finding: str) -> Code:
    """Return whether an opacity is there; of a failed study nothing is said."""
    if finding == "failed":
        return UNDETERMINED
    return PRESENT if finding == "opacity" else ABSENT


def normality(finding: str) -> Code:
    """Return whether the films look normal; of a failed study nothing is said."""
    if finding == "failed":
        return NORMALITY_UNDETERMINED
    return NORMAL if finding == "normal" else ABNORMAL


def processing_summary(finding: str, *, complete: bool) -> Code:
    """Return how the algorithm fared and whether it found an opacity.

    `complete` says whether all images were read; with the finding "failed", none was.
    """
    if finding == "failed":
        return NONE_SUCCEEDED
    found = finding == "opacity"
    if complete:
        return ALL_SUCCEEDED_WITH_FINDINGS if found else ALL_SUCCEEDED_WITHOUT_FINDINGS
    return SOME_SUCCEEDED_WITH_FINDINGS if found else SOME_SUCCEEDED_WITHOUT_FINDINGS
