"""Which SOP instances are here already: films that were received, and results that we made."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select, union_all
from sqlalchemy.orm import Session

from db.models import Delivery, Instance, Result


def films_held(session: Session, sop_instance_uids: Collection[str]) -> set[str]:
    """Return those of the SOP Instance UIDs under which a film is held."""
    uid = Instance.sop_instance_uid
    return set(session.scalars(select(uid).where(uid.in_(sop_instance_uids))))


def results_of_ours(session: Session, sop_instance_uids: Collection[str]) -> set[str]:
    """Return those of the SOP Instance UIDs that name a result of ours, in whatever form sent."""
    kept, sent = Result.sop_instance_uid, Delivery.sent_as
    return set(
        session.scalars(
            union_all(
                select(kept).where(kept.in_(sop_instance_uids)),
                select(sent).where(sent.in_(sop_instance_uids)),
            )
        )
    )
