"""The tables: studies, instances, readings, reports, results, deliveries, tasks and events; storage
commitments that are asked of us; which bundles are in use, what a second one would have said, and
what people say of a reading.

The tables of `db.people`, `db.configuration` and `db.sums` are named here too, so that whoever
knows the tables knows all of them. Times are aware UTC datetimes; states are enums of `db.states`.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Computed,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.base import IDS_ARE_USED_ONCE, Base, columns_of
from db.columns import Id, UtcDateTime, enum_of
from db.configuration import ConfigurationChange, DestinationPause
from db.people import AnsweredRequest, ApiToken, LoginAttempt, LoginSession, User
from db.states import (
    AlarmKind,
    BundleRole,
    DeliveryState,
    InstanceState,
    Priority,
    StudyState,
    Subject,
    TaskKind,
    TaskState,
)
from db.sums.models import (
    DeliverySum,
    FilmSum,
    ReadingSum,
    ShadowSum,
    StaleHour,
    StudySum,
    SummedUntil,
)

__all__ = [
    "Alarm",
    "AlarmNotice",
    "AnsweredRequest",
    "ApiToken",
    "Base",
    "BundleChoice",
    "BundleProblem",
    "CommitmentRequest",
    "ConfigurationChange",
    "Delivery",
    "DeliverySum",
    "DestinationPause",
    "Event",
    "FilmSum",
    "Instance",
    "LoginAttempt",
    "LoginSession",
    "ReadingSum",
    "Report",
    "ReportedInstance",
    "Result",
    "ShadowReading",
    "ShadowSum",
    "StaleHour",
    "StoredReading",
    "Study",
    "StudySum",
    "SummedUntil",
    "Task",
    "User",
    "columns_of",
]


_TROUBLE = "state IN ('refused', 'quarantined', 'rejected')"
"""Of events: films that were not read, objects that were not taken."""


class Study(Base):
    """One study, as its first image described it, and what the latest report says of it."""

    __tablename__ = "study"
    __table_args__ = (
        Index("ix_study_open", "last_received_at", sqlite_where=text("state = 'open'"),
              postgresql_where=text("state = 'open'")),
        # The worklist, newest first and likeliest first, by what it is most often filtered by.
        Index("ix_study_created_at_id", "created_at", "id"),
        Index("ix_study_rank_id", "rank", "id"),
        Index("ix_study_source_ae_created_at_id", "source_ae", "created_at", "id"),
        Index("ix_study_station_created_at_id", "station", "created_at", "id"),
        Index("ix_study_bundle_created_at_id", "bundle", "created_at", "id"),
        Index("ix_study_finding_created_at_id", "finding", "created_at", "id"),
        Index("ix_study_state_created_at_id", "state", "created_at", "id"),
        Index("ix_study_source_ae_rank_id", "source_ae", "rank", "id"),
        Index("ix_study_station_rank_id", "station", "rank", "id"),
        Index("ix_study_bundle_rank_id", "bundle", "rank", "id"),
        Index("ix_study_finding_rank_id", "finding", "rank", "id"),
        Index("ix_study_state_rank_id", "state", "rank", "id"),
        IDS_ARE_USED_ONCE,
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    patient_id: Mapped[str] = mapped_column(String(64), index=True)
    patient_name: Mapped[str] = mapped_column(String(400))
    patient_name_key: Mapped[str] = mapped_column(
        String(400).with_variant(String(400, collation="C"), "postgresql"),
        Computed("lower(patient_name)", persisted=True),
        index=True,
        nullable=True,
    )
    """The name as beginnings of it are looked for; made by the database."""
    patient_birth_date: Mapped[str] = mapped_column(String(16))
    patient_sex: Mapped[str] = mapped_column(String(16))
    accession_number: Mapped[str] = mapped_column(String(64), index=True)
    study_date: Mapped[str] = mapped_column(String(16), index=True)
    study_description: Mapped[str] = mapped_column(String(64))
    source_ae: Mapped[str] = mapped_column(String(16))
    source_address: Mapped[str] = mapped_column(String(64))
    station: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """Of its first image."""
    state: Mapped[StudyState] = mapped_column(enum_of(StudyState))
    revision: Mapped[int] = mapped_column(Integer, default=0)
    priority: Mapped[Priority] = mapped_column(enum_of(Priority), default=Priority.ROUTINE)
    """Urgent from the first urgent reading on; then as the latest report."""
    finding: Mapped[str | None] = mapped_column(String(16))
    probability: Mapped[float | None] = mapped_column(Float)
    rank: Mapped[float] = mapped_column(
        Float, Computed("coalesce(probability, -1)", persisted=True), nullable=True
    )
    """The probability as the worklist is ordered by it; made by the database."""
    sentence: Mapped[str | None] = mapped_column(Text)
    bundle: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reported_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    instances: Mapped[list[Instance]] = relationship(
        back_populates="study", order_by="Instance.id", passive_deletes=True
    )
    reports: Mapped[list[Report]] = relationship(
        back_populates="study", order_by="Report.revision", passive_deletes=True
    )


class Instance(Base):
    """One stored image; `path` is relative to the data folder and named by an id of ours."""

    __tablename__ = "instance"
    __table_args__ = (UniqueConstraint("sop_instance_uid", "sha256"), IDS_ARE_USED_ONCE)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"), index=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    modality: Mapped[str] = mapped_column(String(16))
    station: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(128), unique=True)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    """Digest of the data set's bytes as they came, without preamble and meta information."""
    file_sha256: Mapped[str] = mapped_column(String(64))
    """Digest of the whole stored file."""
    state: Mapped[InstanceState] = mapped_column(enum_of(InstanceState))
    refusal_code: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(Text)
    current: Mapped[bool] = mapped_column(Boolean, default=True)
    """Whether this copy stands for its SOP Instance UID in reports."""
    altered_from: Mapped[int | None] = mapped_column(
        ForeignKey("instance.id", ondelete="SET NULL"), index=True
    )
    """The earlier copy with the same SOP Instance UID and other bytes."""
    source_ae: Mapped[str] = mapped_column(String(16))
    called_ae: Mapped[str] = mapped_column(String(16))
    source_address: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it was read, refused or quarantined: the time that reports carry."""

    study: Mapped[Study] = relationship(back_populates="instances")
    readings: Mapped[list[StoredReading]] = relationship(
        back_populates="instance", order_by="StoredReading.id", passive_deletes=True
    )
    shadow_readings: Mapped[list[ShadowReading]] = relationship(
        order_by="ShadowReading.id", viewonly=True
    )


class StoredReading(Base):
    """What one bundle said of one image."""

    __tablename__ = "reading"
    __table_args__ = IDS_ARE_USED_ONCE

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    instance_id: Mapped[int] = mapped_column(
        ForeignKey("instance.id", ondelete="CASCADE"), index=True
    )
    bundle: Mapped[str] = mapped_column(String(128))
    device_uid: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int] = mapped_column(Integer)
    columns: Mapped[int] = mapped_column(Integer)
    p_normal: Mapped[float] = mapped_column(Float)
    p_not_normal: Mapped[float] = mapped_column(Float)
    p_lung_opacity: Mapped[float] = mapped_column(Float)
    pneumonia: Mapped[float] = mapped_column(Float)
    finding: Mapped[str] = mapped_column(String(16))
    threshold: Mapped[float] = mapped_column(Float)
    urgent: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether it made its study go first, by the settings when it was read."""
    boxes: Mapped[list[dict[str, float]]] = mapped_column(JSON)
    grey_mean: Mapped[float | None] = mapped_column(Float)
    """Mean grey of the film as the network got it, 0 (black) to 255; None: not measured."""
    grey_spread: Mapped[float | None] = mapped_column(Float)
    """Standard deviation of the same."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)

    instance: Mapped[Instance] = relationship(back_populates="readings")


class Report(Base):
    """One revision of a study's report."""

    __tablename__ = "report"
    __table_args__ = (UniqueConstraint("study_id", "revision"), IDS_ARE_USED_ONCE)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"))
    revision: Mapped[int] = mapped_column(Integer)
    bundle: Mapped[str] = mapped_column(String(128))
    device_uid: Mapped[str] = mapped_column(String(64))
    finding: Mapped[str] = mapped_column(String(16))
    probability: Mapped[float | None] = mapped_column(Float)
    sentence: Mapped[str] = mapped_column(Text)
    priority: Mapped[Priority] = mapped_column(enum_of(Priority), default=Priority.ROUTINE)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)

    study: Mapped[Study] = relationship(back_populates="reports")
    results: Mapped[list[Result]] = relationship(
        back_populates="report", order_by="Result.id", passive_deletes=True
    )


class ReportedInstance(Base):
    """Which images a report covers."""

    __tablename__ = "reported_instance"

    report_id: Mapped[int] = mapped_column(
        ForeignKey("report.id", ondelete="CASCADE"), primary_key=True
    )
    instance_id: Mapped[int] = mapped_column(
        ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Result(Base):
    """One encoded DICOM object of a report, kept as the file that is sent."""

    __tablename__ = "result"
    __table_args__ = IDS_ARE_USED_ONCE

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("report.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(128), unique=True)
    size: Mapped[int] = mapped_column(BigInteger)
    file_sha256: Mapped[str] = mapped_column(String(64))

    report: Mapped[Report] = relationship(back_populates="results")
    deliveries: Mapped[list[Delivery]] = relationship(
        back_populates="result", order_by="Delivery.id", passive_deletes=True
    )


class Delivery(Base):
    """One object on its way to one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("result_id", "destination"),
        Index("ix_delivery_commit", "destination", "commit_at",
              sqlite_where=text("commit_at IS NOT NULL"),
              postgresql_where=text("commit_at IS NOT NULL")),
        Index("ix_delivery_undelivered", "destination", "result_id",
              sqlite_where=text("state IN ('pending', 'rejected')"),
              postgresql_where=text("state IN ('pending', 'rejected')")),
        Index("ix_delivery_destination_sent_at", "destination", "sent_at",
              sqlite_where=text("sent_at IS NOT NULL"),
              postgresql_where=text("sent_at IS NOT NULL")),
        IDS_ARE_USED_ONCE,
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    result_id: Mapped[int] = mapped_column(ForeignKey("result.id", ondelete="CASCADE"))
    destination: Mapped[str] = mapped_column(String(96))
    state: Mapped[DeliveryState] = mapped_column(enum_of(DeliveryState))
    status: Mapped[int | None] = mapped_column(Integer)
    """The last DIMSE status that the destination answered."""
    reason: Mapped[str | None] = mapped_column(Text)
    sent_as: Mapped[str | None] = mapped_column(String(64))
    """SOP Instance UID it was sent as, where the destination needed another form."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    first_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """As `sent_at`, and left as it is where the object is sent again."""
    commit_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When storage commitment is asked for next; None: it is not, or not any more."""
    commit_attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    transaction_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    """Of the storage commitment that was last asked for."""

    result: Mapped[Result] = relationship(back_populates="deliveries")


class CommitmentRequest(Base):
    """A storage commitment that a peer asks of us, until the peer has the answer."""

    __tablename__ = "commitment_request"
    __table_args__ = (UniqueConstraint("transaction_uid", "peer_ae"), IDS_ARE_USED_ONCE)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    transaction_uid: Mapped[str] = mapped_column(String(64))
    peer_ae: Mapped[str] = mapped_column(String(16))
    peer_address: Mapped[str] = mapped_column(String(64))
    called_ae: Mapped[str] = mapped_column(String(16))
    instances: Mapped[list[list[str]]] = mapped_column(JSON)
    """SOP Class UID and SOP Instance UID of each instance."""
    attempts: Mapped[int] = mapped_column(Integer)
    answer_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Task(Base):
    """One piece of work that must happen, leased by at most one worker at a time."""

    __tablename__ = "task"
    __table_args__ = (
        Index("ix_task_ready", "kind", "lane", "priority", "not_before",
              sqlite_where=text("state = 'ready'"), postgresql_where=text("state = 'ready'")),
        Index("ix_task_leased", "lease_until",
              sqlite_where=text("state = 'leased'"), postgresql_where=text("state = 'leased'")),
        Index("uq_task_live", "kind", "subject_id", unique=True,
              sqlite_where=text("state <> 'quarantined'"),
              postgresql_where=text("state <> 'quarantined'")),
        IDS_ARE_USED_ONCE,
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    kind: Mapped[TaskKind] = mapped_column(enum_of(TaskKind))
    subject_id: Mapped[int] = mapped_column(BigInteger)
    lane: Mapped[str] = mapped_column(String(96), default="")
    """Tasks of different lanes never wait for each other: for deliveries, the destination."""
    priority: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[TaskState] = mapped_column(enum_of(TaskState))
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    owner: Mapped[str | None] = mapped_column(String(64))
    token: Mapped[int] = mapped_column(Integer, default=0)
    """Fencing token, raised with every lease: who lost the lease can do no harm."""
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BundleChoice(Base):
    """One choice of a bundle for a role. The latest of a role holds; none is ever changed.

    Without a bundle it says that the role is left to the configuration: for `active` that is
    `worker.bundle`, for `shadow` none.
    """

    __tablename__ = "bundle_choice"
    __table_args__ = (Index("ix_bundle_choice_role_id", "role", "id"), IDS_ARE_USED_ONCE)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    role: Mapped[BundleRole] = mapped_column(enum_of(BundleRole))
    bundle: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[str | None] = mapped_column(String(64))
    digest: Mapped[str | None] = mapped_column(String(64))
    """Digest of its bundle.json: another bundle of the same name is not what was chosen."""
    before_id: Mapped[int | None] = mapped_column(
        ForeignKey("bundle_choice.id", ondelete="SET NULL")
    )
    """The choice that a rollback returns to; None: what is configured."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str | None] = mapped_column(Text)


class BundleProblem(Base):
    """A chosen bundle that a worker cannot use, for as long as that is so."""

    __tablename__ = "bundle_problem"
    __table_args__ = (UniqueConstraint("choice_id", "worker"), IDS_ARE_USED_ONCE)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    choice_id: Mapped[int] = mapped_column(ForeignKey("bundle_choice.id", ondelete="CASCADE"))
    worker: Mapped[str] = mapped_column(String(64))
    """The machine that the worker runs on."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    sentence: Mapped[str] = mapped_column(Text)


class ShadowReading(Base):
    """What a bundle in shadow said of one image, beside the reading that counts.

    Where it gave no reading, `refusal_code` and `reason` tell why, and the figures are None.
    """

    __tablename__ = "shadow_reading"
    __table_args__ = IDS_ARE_USED_ONCE

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    instance_id: Mapped[int] = mapped_column(
        ForeignKey("instance.id", ondelete="CASCADE"), index=True
    )
    reading_id: Mapped[int | None] = mapped_column(
        ForeignKey("reading.id", ondelete="CASCADE"), index=True
    )
    """The reading that it is compared with; None where the active bundle's way refused the image.
    """
    bundle: Mapped[str] = mapped_column(String(128))
    device_uid: Mapped[str | None] = mapped_column(String(64))
    p_normal: Mapped[float | None] = mapped_column(Float)
    p_not_normal: Mapped[float | None] = mapped_column(Float)
    p_lung_opacity: Mapped[float | None] = mapped_column(Float)
    pneumonia: Mapped[float | None] = mapped_column(Float)
    finding: Mapped[str | None] = mapped_column(String(16))
    threshold: Mapped[float | None] = mapped_column(Float)
    boxes: Mapped[list[dict[str, float]]] = mapped_column(JSON)
    refusal_code: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(Text)
    asked_by: Mapped[str | None] = mapped_column(String(128))
    """Who asked for it by hand; None: the bundle was in shadow. No comparison counts what was."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Verdict(Base):
    """What a person says of one reading. None is ever changed: a later one of the same person on
    the same reading stands in its place."""

    __tablename__ = "verdict"
    __table_args__ = IDS_ARE_USED_ONCE

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    instance_id: Mapped[int] = mapped_column(
        ForeignKey("instance.id", ondelete="CASCADE"), index=True
    )
    reading_id: Mapped[int] = mapped_column(
        ForeignKey("reading.id", ondelete="CASCADE"), index=True
    )
    finding: Mapped[str] = mapped_column(String(16))
    """What the person sees: opacity, abnormal or normal."""
    boxes: Mapped[list[dict[str, float]] | None] = mapped_column(JSON(none_as_null=True))
    """The opacities as the person drew them, without scores; None: the reading's were left."""
    comment: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)

    reading: Mapped[StoredReading] = relationship()


class Alarm(Base):
    """Something that is wrong with the service, from when it was noticed until it was over."""

    __tablename__ = "alarm"
    __table_args__ = (
        Index("uq_alarm_open", "kind", "subject", unique=True,
              sqlite_where=text("cleared_at IS NULL"),
              postgresql_where=text("cleared_at IS NULL")),
        IDS_ARE_USED_ONCE,
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    kind: Mapped[AlarmKind] = mapped_column(enum_of(AlarmKind))
    subject: Mapped[str] = mapped_column(String(96))
    """The destination that it is about; "" where it is about the service."""
    sentence: Mapped[str] = mapped_column(Text)
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cleared_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AlarmNotice(Base):
    """What is still to be told of an alarm over one channel."""

    __tablename__ = "alarm_notice"
    __table_args__ = (
        UniqueConstraint("alarm_id", "channel", "cleared"),
        IDS_ARE_USED_ONCE,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    alarm_id: Mapped[int] = mapped_column(ForeignKey("alarm.id", ondelete="CASCADE"))
    channel: Mapped[str] = mapped_column(String(16))
    cleared: Mapped[bool] = mapped_column(Boolean)
    """Whether it tells that the alarm is over."""
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    send_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Event(Base):
    """One change of state: what, when and why. Never changed, never deleted but with its study."""

    __tablename__ = "event"
    __table_args__ = (
        Index("ix_event_trouble", "at",
              sqlite_where=text(_TROUBLE), postgresql_where=text(_TROUBLE)),
        IDS_ARE_USED_ONCE,
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    study_id: Mapped[int | None] = mapped_column(
        ForeignKey("study.id", ondelete="CASCADE"), index=True
    )
    subject: Mapped[Subject] = mapped_column(enum_of(Subject))
    subject_id: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
