"""Notices what is wrong, says so in the log, and has it told."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from db import alarms
from db.alarms import Condition
from db.files import FileStore
from db.queue import Backoff
from db.session import Database
from db.states import AlarmKind
from scp_service.alarms.channels import channels
from scp_service.alarms.conditions import KINDS, conditions
from scp_service.answer import PeerError
from settings import Settings

_log = logging.getLogger(__name__)

_BACKOFF = Backoff(first=30.0, longest=3600.0)


class Watch:
    """Looks at the service and tells; any number of them do no harm beside each other."""

    def __init__(self, settings: Settings, database: Database, store: FileStore) -> None:
        self._limits = settings.alarms
        self._channels = channels(settings.alarms)
        self._database = database
        self._store = store

    def look(self) -> None:
        """Raise an alarm for what is wrong, once, and clear those of what is over."""
        with self._database.read() as session:
            now = self._database.now(session)
            found = list(conditions(session, self._store, self._limits, now=now))
        self.set(found, KINDS)

    def set(self, found: Sequence[Condition], kinds: Collection[AlarmKind]) -> None:
        """Have alarms for exactly what was found, of the kinds that were looked at."""
        with self._database.read() as session:
            known = {
                (each.kind, each.subject) for each in alarms.standing(session) if each.kind in kinds
            }
        if known == {(each.kind, each.subject) for each in found}:
            return
        with self._database.write() as session:
            self._reconcile(session, found, kinds)

    def tell(self) -> None:
        """Tell what is due over every channel; what cannot be told is told later."""
        with self._database.read() as session:
            if not alarms.any_due(session, now=self._database.now(session)):
                return
        with self._database.write() as session:
            due = alarms.take_due(session, now=self._database.now(session))
        for notice in due:
            problem = self._tell(notice)
            with self._database.write() as session:
                if problem is None:
                    alarms.told(session, notice)
                else:
                    until = self._database.now(session) + _BACKOFF.delay(notice.attempts)
                    alarms.put_off(session, notice, until=until)

    def _tell(self, notice: alarms.Notice) -> str | None:
        """Return why a notice could not be told; None where it was, or need not be any more."""
        channel = self._channels.get(notice.channel)
        if channel is None:
            return None
        try:
            channel(notice)
        except PeerError as error:
            _log.error("An alarm cannot be told by %s: %s.", notice.channel, error)
            return str(error)
        return None

    def _reconcile(
        self, session: Session, found: Sequence[Condition], kinds: Collection[AlarmKind]
    ) -> None:
        raised, cleared = alarms.reconcile(
            session,
            found,
            kinds=kinds,
            channels=self._channels,
            now=self._database.now(session),
        )
        for alarm in raised:
            _log.error("Alarm (%s): %s", alarm.kind.value, alarm.sentence)
        for alarm in cleared:
            _log.warning("Alarm (%s) is over: %s", alarm.kind.value, alarm.sentence)
