"""The neutral result document as messages read it. docs/result-document.md describes it to others.

Its JSON Schema stands in docs, where `make docs` writes it.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Uid = Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Finding = Literal["opacity", "abnormal", "normal", "failed"]


class DocumentError(Exception):
    """A kept file is no result document; the message names the field and holds no patient data."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Report(_Part):
    """What is said of the study."""

    uid: Uid = Field(description="SOP Instance UID of the SR that says the same; unique.")
    revision: int = Field(ge=1, description="Counts the study's reports, from 1.")
    predecessor_uid: Uid | None = Field(description="`uid` of the report that this one replaces.")
    recorded_at: datetime = Field(description="When the last image was settled, with offset.")
    completeness: Literal["complete", "partial", "failed"] = Field(
        description="All images were read, some, or none. `failed` never means normal."
    )
    finding: Finding = Field(description="The gravest finding of the images; `failed`: no image.")
    probability: Share | None = Field(
        description="Highest probability of pneumonia of the images; null where none was read."
    )
    threshold: Share | None = Field(
        description="The probability from which `finding` is `opacity`; null where none was read."
    )
    sentence: str = Field(
        description="One sentence for people; ends with `not verified by a physician`."
    )
    priority: Literal["urgent", "routine"] = Field(
        "routine", description="How soon somebody should look; see docs/destinations.md."
    )
    verified: Literal[False] = Field(description="No physician has verified the report.")


class Algorithm(_Part):
    """What read the images."""

    name: str = Field(description="The model bundle's id.")
    version: str = Field(description="The model bundle's version.")
    manufacturer: str = Field(description="Who made it.")
    device_uid: Uid = Field(description="The Device Observer UID of the SR.")
    weights_sha256: str = Field(description="Digest of the network.")
    operating_point: str | None = Field(description="The bundle's name for `threshold`.")
    prevalence: Share | None = Field(
        description="The site's prevalence that probabilities are adjusted to; null: not adjusted."
    )
    evaluation_only: bool = Field(description="Whether it is for evaluation, not clinical use.")


class Patient(_Part):
    """The patient, as the films name him or her. Dates as in DICOM (VR DA)."""

    id: str | None = Field(description="Patient ID (0010,0020).")
    id_issuer: str | None = Field(description="Issuer of Patient ID (0010,0021).")
    name: str | None = Field(description="Patient's Name (0010,0010), VR PN.")
    birth_date: str | None = Field(description="Patient's Birth Date (0010,0030), YYYYMMDD.")
    sex: str | None = Field(description="Patient's Sex (0010,0040): M, F or O.")


class Procedure(_Part):
    """A code for what was done."""

    code: str = Field(description="Code Value.")
    scheme: str = Field(description="Coding Scheme Designator.")
    meaning: str = Field(description="Code Meaning.")


class Study(_Part):
    """The study, as the films name it. Dates and times as in DICOM (VR DA, TM)."""

    uid: Uid = Field(description="Study Instance UID (0020,000D).")
    accession_number: str | None = Field(description="Accession Number (0008,0050).")
    id: str | None = Field(description="Study ID (0020,0010).")
    date: str | None = Field(description="Study Date (0008,0020), YYYYMMDD.")
    time: str | None = Field(description="Study Time (0008,0030), HHMMSS.")
    utc_offset: str | None = Field(description="Timezone Offset From UTC (0008,0201), +hhmm.")
    description: str | None = Field(description="Study Description (0008,1030).")
    referring_physician: str | None = Field(description="Referring Physician's Name (0008,0090).")
    admission_id: str | None = Field(description="Admission ID (0038,0010).")
    procedure: Procedure | None = Field(description="First item of Procedure Code Sequence.")


class Classes(_Part):
    """Probabilities of the three classes, with sum 1."""

    normal: Share = Field(description="Nothing abnormal.")
    not_normal: Share = Field(description="Abnormal, without lung opacity.")
    lung_opacity: Share = Field(description="Lung opacity.")


class Box(_Part):
    """A suspected opacity, in pixels of the stored image, origin top left."""

    x: float = Field(description="Left edge (column).")
    y: float = Field(description="Upper edge (row).")
    width: float = Field(description="Width.")
    height: float = Field(description="Height.")
    score: Share = Field(description="The detector's confidence.")


class Reading(_Part):
    """What is said of one image."""

    finding: Literal["opacity", "abnormal", "normal"] = Field(description="As of the study.")
    probability: Share = Field(description="Probability of pneumonia.")
    threshold: Share = Field(description="The probability from which `finding` is `opacity`.")
    classes: Classes
    rows: int = Field(ge=1, description="Rows (0028,0010).")
    columns: int = Field(ge=1, description="Columns (0028,0011).")
    boxes: tuple[Box, ...] = Field(description="By falling score; none unless an opacity.")


class Refusal(_Part):
    """Why one image was not read."""

    code: str = Field(description="For programs; see docs/eligibility.md.")
    reason: str = Field(description="For people.")


class Image(_Part):
    """One image of the study: either a reading or a refusal. UIDs are null in a broken header."""

    sop_instance_uid: Uid | None = Field(description="SOP Instance UID.")
    sop_class_uid: Uid | None = Field(description="SOP Class UID.")
    series_instance_uid: Uid | None = Field(description="Series Instance UID.")
    reading: Reading | None
    refusal: Refusal | None


class Object(_Part):
    """A DICOM object of the same report."""

    kind: str = Field(description="`sr`, `sc` or another output form.")
    sop_class_uid: Uid = Field(description="SOP Class UID.")
    sop_instance_uid: Uid = Field(description="SOP Instance UID.")
    series_instance_uid: Uid = Field(description="Series Instance UID.")
    of_image: Uid | None = Field(description="SOP Instance UID of the image that it shows.")


class Document(_Part):
    """Hilum's result document: one report of one study, for systems that do not speak DICOM."""

    name: Literal["hilum-result"] = Field(alias="schema", description="Says what this is.")
    schema_version: Literal[1] = Field(
        description="Raised where a field changes its meaning or goes; new fields do not raise it."
    )
    report: Report
    algorithm: Algorithm
    patient: Patient
    study: Study
    images: tuple[Image, ...] = Field(min_length=1, description="Those that were read come first.")
    objects: tuple[Object, ...] = Field(description="The DICOM objects, the SR first.")


def read_document(data: bytes) -> Document:
    """Read a kept document.

    Raises:
        DocumentError: it is none, or of another version.
    """
    try:
        return Document.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
        raise DocumentError(
            f"its result document cannot be read (at {where or 'its start'}); was it made by"
            " another version of Hilum?"
        ) from None


def schema() -> str:
    """Return the JSON Schema (draft 2020-12) of the document."""
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(draft | Document.model_json_schema(), indent=2) + "\n"
