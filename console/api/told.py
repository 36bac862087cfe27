"""Rows of the database as the API tells of them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from console.shapes import studies as shapes
from db import history
from db.models import Delivery, Instance, Report, Result, Study


def row_of(study: Study, deliveries: Iterable[history.DeliveryCount]) -> shapes.StudyRow:
    """Tell of a study as a list does."""
    return shapes.StudyRow(
        id=study.id,
        received_at=study.created_at,
        study_instance_uid=study.study_instance_uid,
        patient_id=study.patient_id,
        patient_name=study.patient_name,
        patient_birth_date=study.patient_birth_date,
        patient_sex=study.patient_sex,
        accession_number=study.accession_number,
        study_date=study.study_date,
        study_description=study.study_description,
        source=study.source_ae,
        station=study.station,
        state=study.state,
        revision=study.revision,
        priority=study.priority,
        finding=study.finding,
        probability=study.probability,
        sentence=study.sentence,
        bundle=study.bundle,
        reported_at=study.reported_at,
        deliveries={each.destination: shapes.Sent.model_validate(each) for each in deliveries},
    )


def whole(session: Session, study_id: int, *, for_change: bool = False) -> shapes.Study | None:
    """Tell everything that is known of a study; None where there is none.

    `for_change`: nobody else changes it until the transaction ends.
    """
    query = select(Study).where(Study.id == study_id)
    if for_change:
        query = query.with_for_update(of=Study)
    films = selectinload(Study.instances)
    results = selectinload(Study.reports).selectinload(Report.results)
    study = session.scalar(
        query.options(
            films.selectinload(Instance.readings),
            films.selectinload(Instance.shadow_readings),
            results.selectinload(Result.deliveries),
        ).execution_options(populate_existing=True)
    )
    if study is None:
        return None
    sent = history.deliveries(session, [study.id]).get(study.id, [])
    return shapes.Study(
        **row_of(study, sent).model_dump(),
        source_address=study.source_address,
        last_received_at=study.last_received_at,
        films=[shapes.Film.model_validate(each) for each in study.instances],
        reports=[shapes.Report.model_validate(each) for each in study.reports],
    )


def deliveries_of(session: Session, study_id: int) -> list[shapes.StudyDelivery]:
    """Tell of everything that was sent, or is to be, of a study; the first planned first."""
    rows = session.execute(
        select(Delivery, Result.kind, Report.revision)
        .join(Result, Delivery.result_id == Result.id)
        .join(Report, Result.report_id == Report.id)
        .where(Report.study_id == study_id)
        .order_by(Delivery.id)
    )
    return [
        shapes.StudyDelivery(
            **shapes.Delivery.model_validate(delivery).model_dump(),
            result_id=delivery.result_id,
            kind=kind,
            revision=revision,
        )
        for delivery, kind, revision in rows
    ]
