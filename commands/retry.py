"""`hilum retry`: what went wrong with a study is put back to work."""

from __future__ import annotations

from db import deliveries, studies
from db.history import find
from db.session import Database


def retry(database: Database, key: str, *, resend: bool) -> str | None:
    """Put a study's failures back to work; return what was done, None where there is no such study.

    `resend` sends the latest results again even where they were acknowledged.
    """
    with database.write() as session:
        study = find(session, key)
        if study is None:
            return None
        now = database.now(session)
        again = studies.retry(session, study.id, now=now)
        sent = deliveries.resend(session, study.id, everything=resend, now=now)
    if not again and not sent:
        return "Nothing of this study has failed or waits."
    return f"Put back to work: {again} images or reports, {sent} deliveries."
