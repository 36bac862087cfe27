"""A period is covered by as few sums as there are, each hour once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from db.sums.periods import HOUR, Length, Period, Piece, pieces

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)


def at(day: int, hour: int = 0) -> datetime:
    """A moment of a day counted from Monday, the 4th of March 2024."""
    return MONDAY + timedelta(days=day, hours=hour)


def test_weeks_begin_on_monday_and_days_at_midnight_utc() -> None:
    moment = datetime(2024, 3, 7, 0, 30, tzinfo=UTC).astimezone(None)
    assert Length.HOUR.floor(moment) == at(3)
    assert Length.DAY.floor(moment) == at(3)
    assert Length.WEEK.floor(moment) == MONDAY
    assert Length.DAY.ceil(at(3)) == at(3)
    assert Length.DAY.ceil(moment) == at(4)


def test_a_period_is_hours_days_weeks_days_and_hours() -> None:
    period = Period(at(5, 22), at(16, 2))
    assert pieces(period, summed_until=at(30)) == [
        Piece(Length.HOUR, at(5, 22), at(6)),
        Piece(Length.DAY, at(6), at(7)),
        Piece(Length.WEEK, at(7), at(14)),
        Piece(Length.DAY, at(14), at(16)),
        Piece(Length.HOUR, at(16), at(16, 2)),
    ]


def test_what_is_not_summed_up_yet_is_read_from_the_rows() -> None:
    assert pieces(Period(at(0), at(2)), summed_until=at(1, 3)) == [
        Piece(Length.DAY, at(0), at(1)),
        Piece(Length.HOUR, at(1), at(1, 3)),
        Piece(None, at(1, 3), at(2)),
    ]
    assert pieces(Period(at(0), at(2)), summed_until=None) == [Piece(None, at(0), at(2))]
    assert pieces(Period(at(0), at(2)), summed_until=at(-5)) == [Piece(None, at(0), at(2))]


def test_a_stale_hour_spoils_its_day_and_week_and_is_read_from_the_rows() -> None:
    found = pieces(Period(at(0), at(14)), summed_until=at(14), stale={at(1, 5)})
    assert found == [
        Piece(Length.DAY, at(0), at(1)),
        Piece(Length.HOUR, at(1), at(1, 5)),
        Piece(None, at(1, 5), at(1, 6)),
        Piece(Length.HOUR, at(1, 6), at(2)),
        Piece(Length.DAY, at(2), at(7)),
        Piece(Length.WEEK, at(7), at(14)),
    ]


@pytest.mark.parametrize("longest", Length)
@pytest.mark.parametrize("stale", [set(), {at(2, 3)}, {at(0), at(9, 23)}])
def test_every_hour_is_in_one_piece(longest: Length, stale: set[datetime]) -> None:
    period = Period(at(-1, 5), at(15, 7))
    found = pieces(period, summed_until=at(12, 9), stale=stale, longest=longest)
    assert [piece.since for piece in found[1:]] == [piece.until for piece in found[:-1]]
    assert (found[0].since, found[-1].until) == (period.since, period.until)
    of_rows = {
        piece.since + number * HOUR
        for piece in found
        if piece.length is None
        for number in range(int((piece.until - piece.since) / HOUR))
    }
    assert stale <= of_rows
    assert not any(
        piece.length is not None and piece.length.delta > longest.delta for piece in found
    )


def test_steps_of_a_chart() -> None:
    assert Period(at(1, 5), at(3)).starts(Length.DAY) == [at(1), at(2)]
    assert Period.around(at(1) + timedelta(minutes=5), at(1) + timedelta(minutes=65)) == Period(
        at(1), at(1, 2)
    )
