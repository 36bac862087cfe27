"""Studies as the API tells of them: a row of a list, and everything about one."""

from __future__ import annotations

from pydantic import Field

from console.shapes.base import Id, Moment, Said
from db.states import DeliveryState, InstanceState, Priority, StudyState, Subject


class Sent(Said):
    """How much of a study's latest report went to a destination, in objects."""

    sent: int = Field(examples=[2])
    pending: int = Field(examples=[0])
    rejected: int = Field(examples=[0])


class StudyRow(Said):
    """A study as a list shows it."""

    id: Id
    received_at: Moment = Field(description="When its first image came.")
    study_instance_uid: str = Field(examples=["1.2.826.0.1.3680043.8.498.1"])
    patient_id: str = Field(examples=["P-0001"])
    patient_name: str = Field(examples=["Curie^Marie"])
    patient_birth_date: str = Field(examples=["18671107"])
    patient_sex: str = Field(examples=["F"])
    accession_number: str = Field(examples=["A-2024-17"])
    study_date: str = Field(examples=["20240301"])
    study_description: str = Field(examples=["Chest PA"])
    source: str = Field(description="The AE title that sent it.", examples=["CR1"])
    station: str = Field(description="The station that took its first film.", examples=["ROOM1"])
    state: StudyState
    revision: int = Field(description="Of its latest report; 0: there is none yet.", examples=[1])
    priority: Priority
    finding: str | None = Field(examples=["opacity"])
    probability: float | None = Field(
        description="Calibrated probability of pneumonia, 0 to 1.", examples=[0.87]
    )
    sentence: str | None = Field(
        description="The finding in words, as the report says it.",
        examples=["Lung opacity suspicious for pneumonia."],
    )
    bundle: str | None = Field(
        description="The model that has read it.", examples=["hilum-cxr 1.0.0"]
    )
    reported_at: Moment | None
    deliveries: dict[str, Sent] = Field(description="By destination.")


class Box(Said):
    """A region in pixels of the film: the upper left corner, its size, and its score (0 to 1)."""

    x: float = Field(examples=[264.0])
    y: float = Field(examples=[152.0])
    width: float = Field(examples=[213.0])
    height: float = Field(examples=[379.0])
    score: float = Field(examples=[0.81])


class Reading(Said):
    """What a bundle said of a film."""

    id: Id
    bundle: str = Field(examples=["hilum-cxr 1.0.0"])
    device_uid: str
    rows: int = Field(description="Of the film.", examples=[1024])
    columns: int = Field(examples=[1024])
    p_normal: float
    p_not_normal: float
    p_lung_opacity: float
    pneumonia: float = Field(description="The calibrated probability.", examples=[0.87])
    finding: str = Field(examples=["opacity"])
    threshold: float = Field(examples=[0.5])
    urgent: bool
    boxes: list[Box]
    created_at: Moment


class ShadowReading(Said):
    """What a second bundle said of a film, for comparison; nothing of it was sent."""

    id: Id
    bundle: str
    pneumonia: float | None
    finding: str | None
    reason: str | None = Field(description="Why there is no reading.")
    created_at: Moment


class Film(Said):
    """An image of a study."""

    id: Id
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str = Field(examples=["DX"])
    station: str = Field(examples=["ROOM1"])
    size: int = Field(description="Of the stored file, in bytes.", examples=[140_000])
    sha256: str = Field(description="Of the data set as it came.")
    state: InstanceState
    refusal_code: str | None
    reason: str | None
    current: bool = Field(description="Whether it stands for its SOP Instance UID in reports.")
    altered_from: int | None = Field(
        description="The earlier copy with the same SOP Instance UID and other bytes."
    )
    source_ae: str
    source_address: str
    received_at: Moment
    settled_at: Moment | None
    readings: list[Reading]
    shadow_readings: list[ShadowReading]


class Delivery(Said):
    """One object on its way to one destination, with the receipt."""

    id: Id
    destination: str = Field(examples=["pacs"])
    state: DeliveryState
    status: int | None = Field(
        description="The last DIMSE or HTTP status that the destination answered.", examples=[0]
    )
    reason: str | None
    sent_as: str | None = Field(
        description="The SOP Instance UID it was sent as, where the destination needs another form."
    )
    created_at: Moment
    sent_at: Moment | None


class Result(Said):
    """An object of a report, as it is sent."""

    id: Id
    kind: str = Field(examples=["sr"])
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    size: int
    deliveries: list[Delivery]


class Report(Said):
    """A revision of a study's report."""

    id: Id
    revision: int
    bundle: str
    device_uid: str
    finding: str
    probability: float | None
    sentence: str
    priority: Priority
    recorded_at: Moment
    results: list[Result]


class Study(StudyRow):
    """Everything that is known of a study; its events are told apart."""

    source_address: str
    last_received_at: Moment
    films: list[Film]
    reports: list[Report]


class Event(Said):
    """A change of state."""

    id: Id
    at: Moment
    subject: Subject
    subject_id: int
    state: str = Field(examples=["sent"])
    reason: str | None


class StudyDelivery(Delivery):
    """A delivery, and the object that it delivers."""

    result_id: Id
    kind: str = Field(examples=["sr"])
    revision: int = Field(description="Of the report that the object is of.", examples=[1])
