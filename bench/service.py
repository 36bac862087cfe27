"""`hilum serve` under load: started on free ports in a temporary folder, fed, and asked for times.

Times come from the service's own database, so that asking does not blur them.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydicom.filereader import read_file_meta_info
from sqlalchemy import func, select

from db.models import Delivery, Instance, Study
from db.session import Database
from db.states import DeliveryState, StudyState
from scp_service.store_scu import Peer, associated
from tests.peers import (
    ChildProcess,
    StoreSCP,
    dcmsend,
    echoscu,
    free_port,
    hilum_process,
    storescp,
    wait_until,
)
from tests.peers.process import LOOPBACK

AE_TITLE = "HILUM"
OBJECTS_PER_STUDY = 2  # a structured report and an overlay
ASK_SECONDS = 0.5
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Times:
    """When a film was read, its report recorded, that written by the PACS, its delivery recorded.

    The PACS answers as soon as it has written the object. That time comes from its file system,
    which may be some 4 ms behind; the others are when their transactions began.
    """

    read: datetime
    reported: datetime
    stored: datetime
    recorded: datetime


@dataclass(frozen=True)
class Service:
    """A running service and what is needed to feed and ask it."""

    port: int
    process: ChildProcess
    database: Database
    pacs: StoreSCP | None
    start_seconds: float
    sent: list[Path] = field(default_factory=list)

    def send(self, films: Sequence[Path], associations: int) -> float:
        """Send films over parallel associations by `dcmsend`; return the seconds it took.

        Raises:
            RuntimeError: not every film was answered with Success.
        """
        shares = [films[i::associations] for i in range(associations)]
        begin = time.perf_counter()
        with ThreadPoolExecutor(associations) as pool:
            sent = list(pool.map(lambda share: dcmsend(share, self.port, called=AE_TITLE), shares))
        seconds = time.perf_counter() - begin
        accepted = sum(each.accepted for each in sent)
        if accepted != len(films):
            raise RuntimeError(f"{len(films)} films sent, {accepted} accepted:\n{sent[0].output}")
        self.sent.extend(films)
        return seconds

    def store(self, film: Path) -> datetime:
        """Send a film over an association of its own; return when its C-STORE was answered.

        Raises:
            RuntimeError: it was not answered with Success.
        """
        meta = read_file_meta_info(film)
        context = (meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
        peer = Peer(LOOPBACK, self.port, AE_TITLE, "BENCH", ANSWER_SECONDS)
        with associated(peer, [context]) as sender:
            response = sender.store(film)
            answered = datetime.now(UTC)
        if response.status != 0:
            raise RuntimeError(f"a film was answered with {response.status:04x}")
        self.sent.append(film)
        return answered

    def wait_until_done(self, *, seconds: float = 1800) -> datetime:
        """Wait until every film sent is reported, and delivered where there is a destination.

        Returns when the last one was, by the service's own records.
        """
        asked = 0.0

        def done() -> datetime | None:
            nonlocal asked
            if time.monotonic() - asked < ASK_SECONDS:
                return None
            asked = time.monotonic()
            return self._last()

        return wait_until(
            done, "the last report or delivery", seconds=seconds, process=self.process
        )

    def latency(self) -> tuple[float, float | None]:
        """Return seconds from a film's receipt to its report, and to its last delivery, if any.

        Of the film received last.
        """
        with self.database.read() as session:
            instance = session.scalars(select(Instance).order_by(Instance.id.desc()).limit(1)).one()
            reported = instance.study.reported_at
            assert reported is not None
            delivered = session.scalar(select(func.max(Delivery.sent_at)))
        received = instance.received_at
        return (
            (reported - received).total_seconds(),
            None if delivered is None else (delivered - received).total_seconds(),
        )

    def times(self) -> Times:
        """Return when the film received last got how far; it must have come to its end.

        Raises:
            RuntimeError: the PACS has no report of it.
        """
        assert self.pacs is not None
        with self.database.read() as session:
            instance = session.scalars(select(Instance).order_by(Instance.id.desc()).limit(1)).one()
            [report] = instance.study.reports
            [uid] = [each.sop_instance_uid for each in report.results if each.kind == "sr"]
            recorded = session.scalar(select(func.max(Delivery.sent_at)))
            read, reported = instance.settled_at, instance.study.reported_at
        assert read is not None
        assert reported is not None
        assert recorded is not None
        files = [path for path in self.pacs.files() if path.name.endswith(f".{uid}")]
        if len(files) != 1:
            raise RuntimeError(f"the PACS has {len(files)} reports of a film")
        stored = datetime.fromtimestamp(files[0].stat().st_mtime, UTC)
        return Times(read, reported, stored, recorded)

    def roles(self) -> dict[str, list[psutil.Process]]:
        """Return each role's process with those that it started, by the role's command."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.Process(self.process.pid).children():
            role = process.cmdline()[-1]
            found.setdefault(role, []).extend([process, *process.children(recursive=True)])
        return found

    def memory(self) -> dict[str, list[int]]:
        """Return resident bytes by role: of the role's process first, then of its children."""
        return {
            role: [process.memory_info().rss for process in processes]
            for role, processes in self.roles().items()
        }

    def pss(self) -> dict[str, int]:
        """Return the proportional set size in bytes by role with its children, `serve` alone."""
        roles = {"serve": [psutil.Process(self.process.pid)], **self.roles()}
        return {
            role: sum(process.memory_full_info().pss for process in processes)
            for role, processes in roles.items()
        }

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time used so far by each role with its children."""
        return {
            role: sum(sum(process.cpu_times()[:2]) for process in processes)
            for role, processes in self.roles().items()
        }

    def _last(self) -> datetime | None:
        with self.database.read() as session:
            reported, last_report = session.execute(
                select(func.count(), func.max(Study.reported_at)).where(
                    Study.state == StudyState.REPORTED
                )
            ).one()
            if reported < len(self.sent):
                return None
            if self.pacs is None:
                return last_report
            sent, last_sent = session.execute(
                select(func.count(), func.max(Delivery.sent_at)).where(
                    Delivery.state == DeliveryState.SENT
                )
            ).one()
            return last_sent if sent == len(self.sent) * OBJECTS_PER_STUDY else None


@contextlib.contextmanager
def service(
    folder: Path, *, deliver: bool, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Run `hilum serve` with SQLite in `folder`, quiet time 0, and `storescp` as its destination.

    `settings` are further `HILUM_*` variables.

    Times to the first answered C-ECHO are measured from the start of the process.
    """
    with contextlib.ExitStack() as stack:
        destinations: list[dict[str, object]] = []
        pacs = None
        if deliver:
            options = ("+xa", "-pdu", "131072")
            pacs = stack.enter_context(storescp(folder / "pacs", ae_title="PACS", options=options))
            destinations.append(
                {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs.port}
            )
        port = free_port()
        data = folder / "data"
        env = {
            "HILUM_DATA_DIR": str(data),
            "HILUM_STUDY_QUIET_SECONDS": "0",
            "HILUM_LISTENER__HOST": "127.0.0.1",
            "HILUM_LISTENER__PORT": str(port),
            "HILUM_LISTENER__AE_TITLE": AE_TITLE,
            "HILUM_DESTINATIONS": json.dumps(destinations),
            **(settings or {}),
        }
        begin = time.perf_counter()
        process = stack.enter_context(hilum_process(["serve"], env, folder=folder))
        wait_until(lambda: echoscu(port, called=AE_TITLE), "an echo", seconds=120, process=process)
        seconds = time.perf_counter() - begin
        database = Database(f"sqlite:///{data / 'hilum.sqlite'}")
        stack.callback(database.close)
        yield Service(port, process, database, pacs, seconds)
