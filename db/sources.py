"""Who sends: when the last study of each source came."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Study


def last_came(session: Session, sources: Iterable[str]) -> dict[str, datetime]:
    """Map sources to when their latest study came first; those that never sent are left out."""
    found: dict[str, datetime] = {}
    for source in dict.fromkeys(sources):
        latest = session.scalar(
            select(Study.created_at)
            .where(Study.source_ae == source)
            .order_by(Study.created_at.desc())
            .limit(1)
        )
        if latest is not None:
            found[source] = latest
    return found
