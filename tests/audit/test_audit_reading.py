"""The trail read back: newest first, by what is asked for, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit import events, file
from audit.message import Message, Outcome, Participant, to_xml
from audit.reading import Page, Wanted, page

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
OURS = Participant("HILUM", address="box", other_name="process 1")


def login(number: int, name: str = "ada", *, failed: bool = False) -> Message:
    return events.authentication(
        AT + timedelta(hours=10 * number),
        events.LOGIN,
        person=Participant(name, address="10.0.0.7"),
        ours=OURS,
        outcome=Outcome.MINOR_FAILURE if failed else Outcome.SUCCESS,
        why="wrong name or password" if failed else "",
    )


def keep(folder: Path, *messages: Message) -> None:
    for each in messages:
        file.append(folder, to_xml(each, "HILUM@box"), each.at)


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Nine logins of five days; every third one, by bob, failed."""
    keep(tmp_path, *(login(n, "bob" if n % 3 == 2 else "ada", failed=n % 3 == 2) for n in range(9)))
    return tmp_path


def hours(found: Page) -> list[int]:
    return [int((each.at - AT).total_seconds()) // 36000 for each in found.records]


def test_the_newest_stand_first_and_pages_leave_out_and_repeat_nothing(trail: Path) -> None:
    seen, after = [], None
    for _ in range(5):
        found = page(trail, Wanted(), limit=2, after=after)
        seen += hours(found)
        after = found.next
    assert seen == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert after is None


def test_what_comes_meanwhile_shifts_no_page(trail: Path) -> None:
    first = page(trail, Wanted(), limit=3)
    keep(trail, login(9))
    assert hours(page(trail, Wanted(), limit=3, after=first.next)) == [5, 4, 3]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(user="BOB"), [8, 5, 2]),
        (Wanted(user="process 1"), [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (Wanted(failed=True), [8, 5, 2]),
        (Wanted(failed=False, user="bob"), []),
        (Wanted(code="110122", failed=False), [7, 6, 4, 3, 1, 0]),
        (Wanted(code="110114", since=AT + timedelta(hours=60)), [8, 7, 6]),
        (Wanted(until=AT + timedelta(hours=20)), [1, 0]),
        (Wanted(code="110123"), []),
    ],
)
def test_only_what_is_asked_for_is_found(trail: Path, wanted: Wanted, found: list[int]) -> None:
    assert hours(page(trail, wanted, limit=50)) == found


def test_a_page_ends_where_enough_was_read_and_goes_on_from_there(trail: Path) -> None:
    first = page(trail, Wanted(user="bob"), limit=9, most=4)
    assert hours(first) == [8, 5]
    assert hours(page(trail, Wanted(user="bob"), limit=9, after=first.next)) == [2]


def test_a_record_tells_all_that_was_written(tmp_path: Path) -> None:
    alert = events.alert(
        AT,
        events.SECURITY_CONFIGURATION,
        reporter=OURS,
        performer=Participant("ada", address="10.0.0.7", requestor=True, other_name="token 3"),
        description="The rôle is admin now.",
        resource="bob",
        details={"Before": "<reader>"},
    )
    subject = events.Subject("2.25.1", "P1", "Curie^Marie", "A1")
    seen = events.accessed(AT, ours=OURS, person=Participant("ada"), subject=subject)
    asked = events.looked_up(AT, ours=OURS, person=Participant("ada"), what="list", keys='{"a": 1}')
    keep(tmp_path, alert, seen, asked)
    listed, viewed, changed = page(tmp_path, Wanted(), limit=9).records
    assert (changed.event, changed.kind) == ("Security Alert", "Security Configuration")
    assert [(each.user, each.other_name, each.address, each.requestor) for each in changed.who] == [
        ("HILUM", "process 1", "box", False),
        ("ada", "token 3", "10.0.0.7", True),
    ]
    (resource,) = changed.about
    assert (resource.kind, resource.identifier) == ("resource", "bob")
    assert resource.details == {
        "Alert Description": "The rôle is admin now.",
        "Before": "<reader>",
    }
    assert [(each.kind, each.identifier) for each in viewed.about] == [
        ("study", "2.25.1"),
        ("patient", "P1"),
    ]
    assert [(each.kind, each.name) for each in listed.about] == [("query", '{"a": 1}')]


def test_lines_longer_than_a_block_are_read_whole_and_broken_ones_are_counted(
    tmp_path: Path,
) -> None:
    long = "x" * 200_000
    keep(tmp_path, login(0), login(0, long), login(0, "bob"))
    (day,) = file.days(tmp_path)
    with day.open("a") as lines:
        lines.write("no record\n")
    found = page(tmp_path, Wanted(), limit=9)
    assert [each.who[0].user for each in found.records] == ["bob", long, "ada"]
    assert found.unreadable == 1


def test_no_place_in_the_trail_is_refused(trail: Path) -> None:
    for wrong in ("", "2026-11-29", "../../etc/passwd:1", "2026-11-29:-1"):
        with pytest.raises(ValueError, match="no place"):
            page(trail, Wanted(), limit=1, after=wrong)
