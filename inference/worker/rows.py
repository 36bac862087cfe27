"""Between the database's rows and what inference speaks of. No effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from db.files import FileStore
from db.models import Instance, StoredReading
from db.reports import Material
from db.states import Priority
from inference.grey import Grey
from inference.reading import (
    Box,
    Device,
    Finding,
    Probabilities,
    Reading,
    Refusal,
    RefusalCode,
)
from inference.report.build import ImageResult, Predecessor, StudyJob
from inference.report.look import Look, Overlays
from settings import Destination, ImagingDestination, Settings


def to_row(
    said: Reading, instance_id: int, device: Device, film_grey: Grey, *, urgent: bool
) -> StoredReading:
    """Make the row of a reading; when it was made is set where it is recorded."""
    return StoredReading(
        instance_id=instance_id,
        bundle=said.bundle,
        device_uid=device.uid,
        rows=said.rows,
        columns=said.columns,
        p_normal=said.probabilities.normal,
        p_not_normal=said.probabilities.not_normal,
        p_lung_opacity=said.probabilities.lung_opacity,
        pneumonia=said.pneumonia,
        finding=said.finding.value,
        threshold=said.threshold,
        urgent=urgent,
        boxes=[asdict(box) for box in said.boxes],
        grey_mean=film_grey.mean,
        grey_spread=film_grey.spread,
    )


def from_row(stored: StoredReading) -> Reading:
    """Return the reading that a row holds."""
    return Reading(
        rows=stored.rows,
        columns=stored.columns,
        probabilities=Probabilities(stored.p_normal, stored.p_not_normal, stored.p_lung_opacity),
        pneumonia=stored.pneumonia,
        boxes=tuple(Box(**box) for box in stored.boxes),
        finding=Finding(stored.finding),
        threshold=stored.threshold,
        bundle=stored.bundle,
    )


def read_by_others(source: Material, device: Device) -> list[int]:
    """List the images of a study that another model has read."""
    return [
        instance.id
        for instance, stored in source.images
        if stored is not None and stored.device_uid != device.uid
    ]


def recorded_at(source: Material) -> datetime:
    """Return the time that a report carries: when the last of its images was settled."""
    return max(instance.settled_at or instance.received_at for instance, _ in source.images)


def priority_of(source: Material) -> Priority:
    """Return a report's priority: one urgent reading makes it urgent."""
    urgent = any(stored is not None and stored.urgent for _, stored in source.images)
    return Priority.URGENT if urgent else Priority.ROUTINE


def study_job(source: Material, store: FileStore, device: Device, settings: Settings) -> StudyJob:
    """Describe the report of a study for the process that builds it."""
    prior = source.prior
    sender = (source.source_ae, source.source_address)
    profiles = settings.profiles(*sender)
    return StudyJob(
        images=tuple(
            ImageResult(
                store.near_path(instance.path),
                None if stored is None else from_row(stored),
                _refusal(instance) if stored is None else None,
            )
            for instance, stored in source.images
        ),
        device=device,
        recorded_at=recorded_at(source),
        revision=source.revision,
        predecessor=None
        if prior is None
        else Predecessor(
            source.study_instance_uid,
            prior.series_instance_uid,
            prior.sop_class_uid,
            prior.sop_instance_uid,
        ),
        overlays=_overlays(settings, settings.recipients(*sender)),
        jpeg_quality=settings.report.sc_jpeg_quality,
        max_pixels=settings.worker.max_pixels,
        presentations=any("gsps" in kinds for kinds in profiles.values()),
        urgent=priority_of(source) is Priority.URGENT,
        document=any("json" in kinds for kinds in profiles.values()),
    )


def _overlays(settings: Settings, recipients: Sequence[Destination]) -> tuple[Overlays, ...]:
    """List the overlays that destinations ask for; without any, they are made for who looks."""
    usual = settings.report.sc_max_side
    asked = tuple(
        Overlays(
            Look(
                usual if each.sc_max_side is None else each.sc_max_side,
                each.sc_colour,
                each.sc_min_score,
            ),
            each.sc_images,
            each.name,
        )
        for each in recipients
        if isinstance(each, ImagingDestination) and "sc" in each.objects
    )
    return asked if recipients else (Overlays(Look(usual)),)


def _refusal(instance: Instance) -> Refusal:
    code = RefusalCode(instance.refusal_code or RefusalCode.UNDECODABLE)
    return Refusal(code, instance.reason or "The image could not be read.")
