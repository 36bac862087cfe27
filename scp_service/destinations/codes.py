"""The coded concepts of messages: those of the Structured Report, and a few of HL7's. Data only."""

from __future__ import annotations

from typing import NamedTuple

from scp_service.destinations.document import Finding, Report


class Code(NamedTuple):
    """A coded concept; `scheme` is as in PS3.16 chapter 8, which HL7 v2 calls it by too."""

    value: str
    scheme: str
    meaning: str


PLAIN_CHEST_XRAY = Code("399208008", "SCT", "Plain chest X-ray")
DICOM_STUDY = Code("113014", "DCM", "DICOM Study")
"""How IHE RAD TF-2 names an observation whose value is the Study Instance UID (table 4.7-7)."""
SR_INSTANCE = Code("SR_INSTANCE_UID", "99HILUM", "SOP Instance UID of the Structured Report")
RADIOLOGY_OBSERVATION = Code("18782-3", "LN", "Radiology Study observation (narrative)")

PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
ABNORMAL_OPACITY = Code("112033", "DCM", "Abnormal opacity")
NORMALITY = Code("121402", "DCM", "Normality")
PROBABILITY = Code("122157", "DCM", "Probability")
COMMENT = Code("121106", "DCM", "Comment")
PROCESSING_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")

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


def presence(finding: Finding) -> Code:
    """Return whether an opacity is there; of a failed study nothing is said."""
    if finding == "failed":
        return UNDETERMINED
    return PRESENT if finding == "opacity" else ABSENT


def normality(finding: Finding) -> Code:
    """Return whether the films look normal; of a failed study nothing is said."""
    if finding == "failed":
        return NORMALITY_UNDETERMINED
    return NORMAL if finding == "normal" else ABNORMAL


def processing_summary(report: Report) -> Code:
    """Return how the algorithm fared, and whether it found an opacity."""
    found = report.finding == "opacity"
    if report.completeness == "failed":
        return NONE_SUCCEEDED
    if report.completeness == "partial":
        return SOME_SUCCEEDED_WITH_FINDINGS if found else SOME_SUCCEEDED_WITHOUT_FINDINGS
    return ALL_SUCCEEDED_WITH_FINDINGS if found else ALL_SUCCEEDED_WITHOUT_FINDINGS
