"""The pages of monitoring show what the history says, and what is asked for by their address."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from xml.etree import ElementTree

import pytest
from httpx2 import Response
from starlette.exceptions import HTTPException

from console.context import Context
from console.pages.span import span_of
from console.pages.words import duration, size
from db import verdicts
from db.models import StoredReading
from db.session import Database
from db.states import TaskKind, UserRole
from db.sums import keep
from db.sums.periods import Length
from tests.console.browsing import person
from tests.db.makers import (
    Clock,
    claim,
    claim_one,
    close_quiet,
    film,
    new_report,
    new_result,
    read,
    receive,
    report,
    rows,
    send_all,
)

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
HOSTILE = '"><script>alert(1)</script>'[:16]


Look = Callable[[str], Response]


@pytest.fixture
def look(context: Context) -> Look:
    """Opens a page as somebody who has just logged in, however far the clock has moved."""
    numbers = itertools.count()

    def opened(path: str) -> Response:
        with person(context, UserRole.READER, f"reader{next(numbers)}") as them:
            return them.get(path)

    return opened


def one_study(
    database: Database, clock: Clock, probability: float, threshold: float = 0.5, **values: str
) -> None:
    """Take a study of one film to its delivery, 20 s after it came."""
    receive(database, film(**values))
    clock.move(seconds=4)
    finding = "opacity" if probability >= threshold else "normal"
    said = {"pneumonia": probability, "finding": finding}
    read(database, claim_one(database, TaskKind.READ), **said, grey_mean=120.0, grey_spread=60.0)
    clock.move(seconds=10)
    close_quiet(database)
    made = new_report(new_result("sr"), finding=finding, probability=probability)
    report(database, {"pacs": ("sr",)}, made)
    clock.move(seconds=6)
    send_all(database)


def words_of(html: str) -> str:
    """The text of a page, with single blanks."""
    text = unescape(re.sub(r"<[^>]+>", " ", html)).replace("\u202f", " ")
    return " ".join(text.split())


def test_an_empty_history_is_shown_as_such(look: Look) -> None:
    for path, says in (
        ("/monitoring", "No film came in this period"),
        ("/monitoring/model", "No film was read in this period"),
        ("/monitoring/threshold", "0 of 0 studies"),
    ):
        answer = look(path)
        assert answer.status_code == 200
        assert says in words_of(answer.text)


def test_flow_tells_films_waits_latencies_and_deliveries(
    database: Database, clock: Clock, look: Look
) -> None:
    clock.now = MONDAY
    for _ in range(3):
        one_study(database, clock, 0.7, source_ae="ER", station="ROOM1")
    one_study(database, clock, 0.2, source_ae="WARDS", station="MOBILE")
    receive(database, film(source_ae="WARDS", station="MOBILE"))
    clock.move(minutes=5)
    said = words_of(look("/monitoring?period=24h").text)
    assert "Films received 5 " in said
    assert "Oldest film or report that waits 5 min 1 to read, 0 to report" in said
    assert re.search(r"Wait until read (4\.0|3\.9) s", said)
    assert re.search(r"Last film to delivered 20 s 95 % 20 s, 99 % 20 s", said)
    assert "ER ROOM1 3 0 0 WARDS MOBILE 2 0 0" in said
    assert re.search(r"pacs 4 0 20 s 20 s 20 s nothing", said)
    wards = words_of(look("/monitoring?period=24h&source=WARDS").text)
    assert "Films received 2 " in wards
    assert "ROOM1" not in wards


def test_the_page_says_the_same_before_and_after_hours_are_summed_up(
    database: Database, clock: Clock, look: Look
) -> None:
    clock.now = MONDAY
    for hour in range(6):
        one_study(database, clock, 0.1 + hour / 10)
        clock.move(hours=1)
    paths = (
        "/monitoring?from=2024-03-04&to=2024-03-04",
        "/monitoring/model?period=7d",
        "/monitoring/threshold?period=7d&at=0.3",
    )

    def told() -> list[str]:
        return [words_of(look(path).text).split("24 hours 7 days")[1] for path in paths]

    before = told()
    while keep.advance(database):
        pass
    assert told() == before
    assert "Films received 6 " in before[0]


def test_another_threshold_tells_which_studies_would_flip_by_source(
    database: Database, clock: Clock, look: Look
) -> None:
    """Found at 0.5. At 0.3: of ER's 0.2, 0.35, 0.7 one more is positive; of WARDS' 0.4, 0.9 one."""
    clock.now = MONDAY
    for source, probability in (
        ("ER", 0.2), ("ER", 0.35), ("ER", 0.7), ("WARDS", 0.4), ("WARDS", 0.9),
    ):  # fmt: skip
        one_study(database, clock, probability, source_ae=source)
    page = look("/monitoring/threshold?period=24h&at=0.3")
    said = words_of(page.text)
    assert "2 of 5 studies would have had an opacity that had none, and 0 none that had one" in said
    assert "4 positive instead of 2" in said
    assert "All 5 2 40 % 4 80 % 2 0 2 0 ER 3 1 33 % 2 67 % 1 0 1 0 WARDS 2 1 50 % 2" in said
    assert 'data-positive="700:1 900:1"' in page.text
    higher = words_of(look("/monitoring/threshold?period=24h&at=0.8").text)
    assert "All 5 2 40 % 1 20 % 0 1 1 0" in higher
    exact = words_of(look("/monitoring/threshold?period=24h&at=0.35").text)
    assert "All 5 2 40 % 4 80 % 2 0 2 0" in exact


def test_a_station_that_finds_more_than_before_is_named_with_its_limits(
    database: Database, clock: Clock, look: Look
) -> None:
    """Twenty of 100 films a day for eight days, then 60: centre 0.2, limits 0.08 to 0.32."""
    clock.now = MONDAY
    for _ in range(8):
        _readings(database, clock, positive=20)
    _readings(database, clock, positive=60)
    page = look("/monitoring/model?from=2024-03-12&to=2024-03-12&source=ER&station=ROOM1")
    said = words_of(page.text)
    assert "ER , ROOM1 outside" in said or "ER, ROOM1 outside" in said
    assert (
        "The positive rate left its limits in 1 of 1 day, last on 2024-03-12: 60 % in 100 films,"
        " limits 8.0 % to 32 %." in said
    )
    assert "Its probabilities are distributed otherwise than before: PSI" in said
    same = words_of(look("/monitoring/model?from=2024-03-11&to=2024-03-11").text)
    assert "within limits" in same
    assert "left its limits" not in same


def _readings(database: Database, clock: Clock, *, positive: int) -> None:
    """Have a station's hundred films read, so many of them positive, on one day."""
    receive(database, *(film(source_ae="ER", station="ROOM1") for _ in range(100)))
    for number, lease in enumerate(claim(database, TaskKind.READ, limit=100)):
        found = number < positive
        said = {"pneumonia": 0.7 if found else 0.1, "finding": "opacity" if found else "normal"}
        read(database, lease, **said, grey_mean=110.0 + number % 21, grey_spread=60.0)
    clock.move(days=1)


def test_verdicts_given_in_the_period_are_compared(
    database: Database, clock: Clock, look: Look
) -> None:
    clock.now = MONDAY
    one_study(database, clock, 0.7, source_ae="ER")
    (reading,) = rows(database, StoredReading)
    with database.write() as session:
        new = verdicts.NewVerdict(reading.id, "normal", None, "", "test")
        verdicts.add(session, new, study_id=1, now=clock.now)
    said = words_of(look("/monitoring/model?period=24h").text)
    assert "bundle test 1 1 0 1 0 0 0.0 %" in said
    assert "source ER 1 0 1 0 0" in said


def test_charts_are_well_formed_and_named_for_those_who_do_not_see_them(
    database: Database, clock: Clock, look: Look
) -> None:
    clock.now = MONDAY
    for _ in range(3):
        one_study(database, clock, 0.7, station=HOSTILE)
        clock.move(days=1)
    for path in ("/monitoring?period=7d", "/monitoring/model?period=7d"):
        page = look(path).text
        assert "<script>alert" not in page
        charts = re.findall(r'<svg viewBox="0 0 640.*?</svg>', page, re.DOTALL)
        assert len(charts) >= 2
        for chart in charts:
            root = ElementTree.fromstring(chart)
            named = root.attrib["aria-labelledby"].split()
            ids = {each.attrib.get("id"): each.text for each in root}
            assert all(ids[name] for name in named)
            assert not re.search(r"nan|inf|style=", chart)


@pytest.mark.parametrize(
    "query",
    ["period=9y", "from=yesterday", "from=2024-03-05&to=2024-03-04", "from=0001-01-01", "at=2"],
)
def test_an_address_that_names_no_period_is_refused(look: Look, query: str) -> None:
    path = "/monitoring/threshold" if "at=" in query else "/monitoring"
    assert look(f"{path}?{query}").status_code in {400, 422}


def test_a_period_is_what_its_address_says() -> None:
    now = MONDAY + timedelta(hours=10, minutes=30)
    week = span_of(None, None, None, now)
    assert (week.preset, week.period.until) == ("7d", MONDAY + timedelta(hours=11))
    assert week.flow_length is Length.DAY
    day = span_of(None, "2024-03-01", None, now)
    assert (day.period.since, day.period.until) == (
        datetime(2024, 3, 1, tzinfo=UTC),
        datetime(2024, 3, 2, tzinfo=UTC),
    )
    assert day.query == {"from": "2024-03-01", "to": "2024-03-01"}
    assert day.flow_length is Length.HOUR
    today = span_of(None, "2024-03-01", "2024-03-04", now)
    assert today.period.until == MONDAY + timedelta(hours=11)
    assert span_of("2y", None, None, now).drift_length(10**6) is Length.WEEK
    assert span_of("30d", None, None, now).drift_length(10) is Length.WEEK
    assert span_of("30d", None, None, now).drift_length(10_000) is Length.DAY
    with pytest.raises(HTTPException):
        span_of("month", None, None, now)


def test_times_and_sizes_in_words() -> None:
    written = [duration(each) for each in (None, 0.0, 0.351, 4.04, 59.0, 90.0, 3 * 3600.0, 2e5)]
    assert [each.replace("\u202f", " ") for each in written] == [
        "–", "0 s", "0.35 s", "4.0 s", "59 s", "1.5 min", "3.0 h", "2.3 d",
    ]  # fmt: skip
    assert size(4.2e9).replace("\u202f", " ") == "4.2 GB"
    assert size(12).replace("\u202f", " ") == "12 B"
