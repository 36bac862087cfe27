"""Alarms: raised once, cleared once, told over every channel until it was told."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook

from db import pauses, queue
from db.alarms import Condition, Notice, reconcile
from db.files import FileStore
from db.models import Alarm, AlarmNotice, Task
from db.session import Database
from db.states import AlarmKind, TaskKind
from scp_service.alarms import channels
from scp_service.alarms.watch import Watch
from scp_service.answer import PeerError
from settings import AlarmMail, AlarmWebhook, Settings
from tests.db.makers import Clock
from tests.peers import wait_until
from tests.scp_service.alarms.mail_server import mail_server
from tests.scp_service.destinations.sending import Certificates
from tests.scp_service.destinations.web_servers import Told, WebServer
from tests.scp_service.running import configured

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"
QUEUE = Condition(AlarmKind.QUEUE, "A film waits.")


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    """A database of each kind."""
    with closing(Database(database_url, clock=clock)) as opened:
        yield opened


def limits(store: FileStore, **values: Any) -> Settings:
    """Return settings whose alarms have no limit but for those given."""
    usual = {"queue_minutes": 0, "destination_minutes": 0, "free_bytes": 0, "quarantine": False}
    return configured(store.root, **{f"alarms__{k}": v for k, v in (usual | values).items()})


def alarms(database: Database) -> list[tuple[str, str, bool]]:
    """Return all alarms: kind, subject and whether it is over."""
    with database.read() as session:
        rows = session.scalars(select(Alarm).order_by(Alarm.id))
        return [(row.kind.value, row.subject, row.cleared_at is not None) for row in rows]


def add(database: Database, kind: TaskKind, lane: str = "") -> None:
    subject = 2 if lane == "other" else 1
    with database.write() as session:
        queue.enqueue(session, kind, [subject], now=database.now(session), lane=lane)


def clear(database: Database) -> None:
    with database.write() as session:
        for task in session.scalars(select(Task)):
            session.delete(task)


@pytest.mark.parametrize(
    ("limit", "kind", "lane", "raised"),
    [
        ("queue_minutes", TaskKind.READ, "", ("queue", "")),
        ("queue_minutes", TaskKind.REPORT, "", ("queue", "")),
        ("destination_minutes", TaskKind.DELIVER, "pacs", ("destination", "pacs")),
    ],
)
def test_what_waits_for_too_long_raises_one_alarm_and_clears_it_once(
    database: Database,
    store: FileStore,
    clock: Clock,
    limit: str,
    kind: TaskKind,
    lane: str,
    raised: tuple[str, str],
) -> None:
    watch = Watch(limits(store, **{limit: 10}), database, store)
    add(database, kind, lane)
    clock.move(seconds=600)
    watch.look()
    assert alarms(database) == []
    clock.move(seconds=1)
    watch.look()
    watch.look()
    assert alarms(database) == [(*raised, False)]
    clear(database)
    watch.look()
    watch.look()
    assert alarms(database) == [(*raised, True)]


def test_that_a_paused_destination_lacks_results_is_no_alarm(
    database: Database, store: FileStore, clock: Clock
) -> None:
    watch = Watch(limits(store, destination_minutes=10), database, store)
    for lane in ("pacs", "other"):
        add(database, TaskKind.DELIVER, lane)
    clock.move(seconds=601)
    watch.look()
    assert alarms(database) == [("destination", "other", False), ("destination", "pacs", False)]
    with database.write() as session:
        pauses.pause(session, "pacs", by="ada", reason=None, now=clock())
    watch.look()
    assert alarms(database) == [("destination", "other", False), ("destination", "pacs", True)]


def test_a_disk_that_fills_and_a_task_that_is_set_aside_are_alarms(
    database: Database, store: FileStore, clock: Clock
) -> None:
    Watch(limits(store, free_bytes=2**62), database, store).look()
    assert alarms(database) == [("disk", "", False)]
    watch = Watch(limits(store, quarantine=True), database, store)
    add(database, TaskKind.READ)
    with database.write() as session:
        (lease,) = queue.claim(
            session, TaskKind.READ, owner="w", now=clock.now, lease_seconds=30, limit=1
        )
        queue.quarantine(session, lease, error="e")
    watch.look()
    assert alarms(database) == [("disk", "", True), ("quarantine", "", False)]


def test_an_alarm_is_told_once_when_it_is_raised_and_once_when_it_is_over(
    database: Database, store: FileStore
) -> None:
    with WebServer(lambda _: Told(204)) as hook:
        settings = limits(store, webhook={"url": hook.url, "secret": SECRET})
        first, second = (Watch(settings, database, store) for _ in range(2))
        for watch in (first, second, first):
            watch.set([QUEUE], [AlarmKind.QUEUE])
            watch.tell()
        for watch in (second, first):
            watch.set([], [AlarmKind.QUEUE])
            watch.tell()
        said = [Webhook(SECRET).verify(each.body, dict(each.headers)) for each in hook.asked]
        ids = [each.headers["webhook-id"] for each in hook.asked]
    assert [each["type"] for each in said] == ["alarm.raised", "alarm.cleared"]
    assert said[0]["data"]["kind"] == "queue"
    assert said[0]["data"]["sentence"] == QUEUE.sentence
    assert said[1]["data"]["cleared_at"] is not None
    assert len(set(ids)) == 2


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_two_who_see_at_once_that_an_alarm_is_over_clear_it_once(
    database: Database, clock: Clock
) -> None:
    def clear(session: Session) -> list[Alarm]:
        return reconcile(session, [], kinds=[AlarmKind.QUEUE], channels=["webhook"], now=clock.now)[
            1
        ]

    def waits() -> bool:
        with database.read() as session:
            waiting = select(func.count()).select_from(text("pg_locks")).where(text("NOT granted"))
            return bool(session.scalar(waiting))

    def clear_too() -> list[Alarm]:
        with database.write() as session:
            return clear(session)

    with database.write() as session:
        reconcile(session, [QUEUE], kinds=[AlarmKind.QUEUE], channels=(), now=clock.now)
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            assert len(clear(session)) == 1
            other = pool.submit(clear_too)
            wait_until(waits, "the other to wait for us")
        assert other.result() == []
    with database.read() as session:
        assert len(session.scalars(select(AlarmNotice)).all()) == 1


def test_a_channel_that_is_down_gets_its_notice_when_it_is_back_and_holds_up_no_other(
    database: Database, store: FileStore, clock: Clock
) -> None:
    answers = [Told(503), Told(204)]
    with WebServer(lambda _: answers.pop(0)) as hook, mail_server() as server:
        mail = {"host": "127.0.0.1", "port": server.port, "security": "none", "recipients": ["a@b"]}
        settings = limits(store, webhook={"url": hook.url, "secret": SECRET}, mail=mail)
        watch = Watch(settings, database, store)
        watch.set([QUEUE], [AlarmKind.QUEUE])
        watch.tell()
        assert (len(hook.asked), len(server.taken)) == (1, 1)
        watch.tell()
        assert len(hook.asked) == 1, "it was not left alone for a while"
        clock.move(seconds=60)
        watch.tell()
        watch.tell()
        assert (len(hook.asked), len(server.taken)) == (2, 1)
        assert hook.asked[0].headers["webhook-id"] == hook.asked[1].headers["webhook-id"]
    with database.read() as session:
        assert session.scalars(select(AlarmNotice)).all() == []


def notice(**values: Any) -> Notice:
    now = datetime(2024, 3, 11, 12, tzinfo=UTC)
    usual = {
        "id": 1,
        "channel": "mail",
        "attempts": 1,
        "alarm_id": 7,
        "kind": AlarmKind.DESTINATION,
        "subject": "pacs",
        "sentence": "Destination pacs lacks results.",
        "raised_at": now,
        "cleared_at": None,
    }
    return Notice(**{**usual, **values})


def test_mail_goes_by_starttls_with_our_login_to_every_recipient(
    tmp_path: Path,
) -> None:
    certificates = Certificates(tmp_path)
    password = tmp_path / "password"
    password.write_text("secret\n")
    with mail_server(certificates.server(), "secret") as server:
        to = AlarmMail(
            host="127.0.0.1",
            port=server.port,
            ca=certificates.ca,
            username="hilum",
            password=f"file:{password}",
            sender="hilum@site",
            recipients=("one@site", "two@site"),
        )
        channels.mail(notice(), to)
        channels.mail(notice(cleared_at=datetime(2024, 3, 11, 13, tzinfo=UTC)), to)
        assert server.recipients == [["one@site", "two@site"]] * 2
        raised, cleared = server.taken
        password.write_text("another")
        with pytest.raises(PeerError, match="status 535"):
            channels.mail(notice(), to)
        with pytest.raises(PeerError, match=r"by TLS; see ca"):
            channels.mail(notice(), to.model_copy(update={"ca": None}))
    assert "destination pacs" in str(raised["Subject"])
    assert str(cleared["Subject"]).endswith("is over")
    assert "lacks results" in str(raised.get_payload())


def test_a_mail_server_that_refuses_or_is_gone_is_told_without_its_text() -> None:
    with mail_server() as server:
        to = AlarmMail(host="127.0.0.1", port=server.port, security="none", recipients=("a@b",))
        server.refuse = True
        with pytest.raises(PeerError, match="status 451") as refused:
            channels.mail(notice(), to)
    assert "Canary" not in str(refused.value)
    with pytest.raises(PeerError, match="cannot be reached"):
        channels.mail(notice(), to)


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (AlarmMail, {"host": "h"}, "recipients are needed"),
        (AlarmMail, {"username": "u"}, "need each other"),
        (AlarmMail, {"username": "u", "password": "p", "security": "none"}, "unencrypted"),
        (AlarmWebhook, {"url": "https://h"}, "need each other"),
        (AlarmWebhook, {"url": "https://h", "secret": "short"}, "whsec_"),
    ],
)
def test_a_channel_that_cannot_work_is_refused_at_the_start(
    model: Any, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        model(**values)


def test_an_alarm_that_comes_again_is_another_one(
    database: Database, store: FileStore, clock: Clock
) -> None:
    watch = Watch(limits(store), database, store)
    for found in ([QUEUE], [], [QUEUE]):
        watch.set(found, [AlarmKind.QUEUE])
        clock.now += timedelta(seconds=1)
    assert alarms(database) == [("queue", "", True), ("queue", "", False)]
