"""Two schedulers on PostgreSQL, as two machines have them, do each thing once."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom import dcmread
from sqlalchemy import func, select

from audit.file import verify
from db import migrations
from db.backup import kept
from db.files import FileStore
from db.models import Alarm, AlarmNotice, Event, Instance, Report, Study, Task
from db.session import Database
from db.states import StudyState, TaskKind, TaskState
from settings.destinations.sink import SELF_TEST_AE
from tests.db.makers import (
    Clock,
    claim,
    close_quiet,
    film,
    new_report,
    read_all,
    receive,
    report,
    rows,
    send_all,
)
from tests.peers import (
    ROOT,
    ChildProcess,
    dcmsend,
    free_port,
    hilum_environment,
    hilum_process,
    wait_until,
)
from tests.peers.archive import dcmqrscp
from tests.scp_service.destinations.web_servers import Told, WebServer
from tests.scp_service.results import kept as kept_result
from tests.system.whole import Whole, make_films, whole

SECRET = f"whsec_{base64.b64encode(bytes(24)).decode()}"
STUDIES = 40

_HAMMER = """
import sys
from db.files import FileStore
from db.session import Database
from scp_service.schedule import Jobs
from settings import load

settings = load().settings
jobs = Jobs(settings, Database(settings.database), FileStore(settings.data_path), sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(15):
    jobs.close_quiet_studies()
    jobs.return_lost_tasks()
    jobs.delete_expired_studies()
    jobs.watch()
    jobs.tidy()
"""


@contextmanager
def _hammer(service: Whole, name: str) -> Iterator[subprocess.Popen[str]]:
    """Have a process ready that runs the jobs that every scheduler runs, again and again."""
    pipe = subprocess.PIPE
    env = hilum_environment(service.env)
    command = [sys.executable, "-c", _HAMMER, name]
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def _records(service: Whole, code: str) -> int:
    """Count the audit records of a kind; all of them must fit together."""
    assert verify(service.data / "audit").problem is None
    days = (service.data / "audit").glob("*.audit")
    return sum(day.read_text().count(f'EventID csd-code="{code}"') for day in days)


def test_jobs_that_both_run_at_once_are_done_once_each(tmp_path: Path, postgres_url: str) -> None:
    with WebServer(lambda _: Told(204)) as hook:
        env = {
            "HILUM_RETENTION__DAYS": "30",
            "HILUM_ALARMS__FREE_BYTES": str(2**62),
            "HILUM_ALARMS__WEBHOOK__URL": hook.url,
            "HILUM_ALARMS__WEBHOOK__SECRET": SECRET,
        }
        with whole(tmp_path, database_url=postgres_url, env=env) as service:
            _lay_out(service)
            with (
                _hammer(service, "schedule@one:1") as one,
                _hammer(service, "schedule@two:1") as two,
            ):
                for each in (one, two):
                    assert each.stdin is not None
                    each.stdin.write("go\n")
                    each.stdin.flush()
                for each in (one, two):
                    _, errors = each.communicate(timeout=300)
                    assert each.returncode == 0, errors
            left = rows(service.database, Study)
            assert Counter(each.state for each in left) == {StudyState.OPEN: STUDIES}
            deleted = [each for each in rows(service.database, Event) if each.state == "deleted"]
            assert len(deleted) == len({each.subject_id for each in deleted}) == STUDIES
            assert _records(service, "110105") == STUDIES
            assert list(service.data.glob("results/**/*.dcm")) == []
            tasks = rows(service.database, Task)
            assert Counter((each.kind, each.state) for each in tasks) == {
                (TaskKind.REPORT, TaskState.READY): STUDIES
            }
            assert [each.kind.value for each in rows(service.database, Alarm)] == ["disk"]
            assert rows(service.database, AlarmNotice) == []
        assert len(hook.asked) == 1


def _lay_out(service: Whole) -> None:
    """Have studies that are old enough to go, others that lost hands had, and quiet ones."""
    store, clock = FileStore(service.data), Clock()
    store.prepare()
    migrations.upgrade(service.database, service.data)
    clock.now = datetime.now(UTC) - timedelta(days=40)
    with closing(Database(service.database.url, clock=clock)) as then:
        for _ in range(STUDIES):
            receive(then, film())
            read_all(then)
            clock.move(seconds=10)
            close_quiet(then)
            report(then, {"pacs": ("sr",)}, new_report(kept_result(store, "sr")))
        send_all(then)
        clock.now = datetime.now(UTC) - timedelta(minutes=10)
        half = STUDIES // 2
        receive(then, *(film() for _ in range(half)))
        read_all(then)
        clock.move(seconds=10)
        close_quiet(then)
        assert len(claim(then, TaskKind.REPORT, limit=half, owner="worker@lost:1")) == half
        receive(then, *(film() for _ in range(half)))
        read_all(then)


def test_two_schedulers_poll_test_and_back_up_once_and_one_goes_on_alone(
    tmp_path: Path, postgres_url: str
) -> None:
    with ExitStack() as stack:
        archive = stack.enter_context(dcmqrscp(tmp_path / "archive"))
        films = [*_of_today(tmp_path / "films", 3)]
        assert dcmsend(films[:1], archive.port, called=archive.ae_title).accepted == 1
        polled = {"ae_title": archive.ae_title, "host": "127.0.0.1", "port": archive.port}
        backups = tmp_path / "backups"
        backups.mkdir()
        (tmp_path / "passphrase").write_text("correct horse")
        env = {
            "HILUM_ARCHIVES": json.dumps([{"name": "archive", "poll_minutes": 0.05, **polled}]),
            "HILUM_SELF_TEST__EVERY_MINUTES": "0.05",
            "HILUM_SELF_TEST__TIMEOUT_SECONDS": "60",
            "HILUM_BACKUP__FOLDER": str(backups),
            "HILUM_BACKUP__PASSPHRASE": f"file:{tmp_path / 'passphrase'}",
            "HILUM_METRICS__ENABLED": "false",
            "HILUM_METRICS__PORT": str(free_port()),
        }
        service = stack.enter_context(whole(tmp_path, database_url=postgres_url, env=env))
        for role in ("listen", "work", "deliver"):
            stack.enter_context(hilum_process([role], service.env, folder=tmp_path))
        wait_until(service.answers, "the listener", seconds=60)
        schedulers = [
            stack.enter_context(hilum_process(["schedule"], service.env, folder=tmp_path))
            for _ in range(2)
        ]
        assert dcmsend(films[2:], service.port).accepted == 1
        seen = Seen(service)
        wait_until(lambda: seen.tests >= 3, "three self-tests", seconds=180)
        wait_until(lambda: seen.look() and _reported(service) == 2, "two reports", seconds=120)
        assert seen.most_at_once == 1
        (leader,) = [each for each in schedulers if "were fetched from archive" in each.log()]
        follower = next(each for each in schedulers if each is not leader)
        assert len(kept(backups)) == 1

        leader.kill()
        before = seen.tests
        assert dcmsend(films[1:2], archive.port, called=archive.ae_title).accepted == 1
        wait_until(lambda: seen.tests > before + 1, "the other one to test", seconds=180)
        wait_until(lambda: seen.look() and _reported(service) == 3, "three reports", seconds=120)
        assert "were fetched from archive" in follower.log()
        assert len(kept(backups)) == 1
        assert [each.kind.value for each in rows(service.database, Alarm)] == []
        _assert_nothing_was_done_twice(service, schedulers)


class Seen:
    """The films of the self-test that were seen on their way."""

    def __init__(self, service: Whole) -> None:
        self._service = service
        self._uids: set[str] = set()
        self.most_at_once = 0

    def look(self) -> bool:
        """Look which are there now."""
        with self._service.database.read() as session:
            query = select(Study.study_instance_uid).where(Study.source_ae == SELF_TEST_AE)
            found = set(session.scalars(query))
        self._uids |= found
        self.most_at_once = max(self.most_at_once, len(found))
        return True

    @property
    def tests(self) -> int:
        """How many there have been."""
        self.look()
        return len(self._uids)


def _reported(service: Whole) -> int:
    with service.database.read() as session:
        ours = Study.source_ae != SELF_TEST_AE
        done = Study.state == StudyState.REPORTED
        return session.scalar(select(func.count()).select_from(Study).where(ours, done)) or 0


def _assert_nothing_was_done_twice(service: Whole, schedulers: list[ChildProcess]) -> None:
    with service.database.read() as session:
        films = list(
            session.scalars(select(Instance).join(Study).where(Study.source_ae != SELF_TEST_AE))
        )
        reports = list(
            session.scalars(select(Report).join(Study).where(Study.source_ae != SELF_TEST_AE))
        )
    assert len(films) == len({each.sop_instance_uid for each in films}) == 3
    assert [each.revision for each in reports] == [1, 1, 1]
    for each in schedulers:
        assert "A scheduled job failed" not in each.log()


def _of_today(folder: Path, count: int) -> Iterator[Path]:
    """Make films of as many studies of today, which are what is polled for."""
    for path in make_films(folder, count, size=256):
        made = dcmread(path)
        made.StudyDate = f"{datetime.now().astimezone():%Y%m%d}"
        made.save_as(path, enforce_file_format=True)
        yield path
