"""The tables of sums by the hour, the day and the week."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Float, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import IDS_ARE_USED_ONCE, Base
from db.columns import Id, UtcDateTime


class SummedUntil(Base):
    """Up to which full hour everything is summed up: one row, or none where nothing is."""

    __tablename__ = "summed_until"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class StaleHour(Base):
    """An hour of which something changed that may have been summed up already."""

    __tablename__ = "stale_hour"
    __table_args__ = IDS_ARE_USED_ONCE

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    hour: Mapped[datetime] = mapped_column(UtcDateTime)


class _OfPeriod:
    """What is summed over a period of one length; `db.sums` writes it, and reads its histograms."""

    length: Mapped[str] = mapped_column(String(8), primary_key=True, sort_order=-2)
    """hour, day or week."""
    start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True, sort_order=-1)


class FilmSum(_OfPeriod, Base):
    """Films that came, and those that were refused or quarantined, in a period."""

    __tablename__ = "film_sum"

    source: Mapped[str] = mapped_column(String(16), primary_key=True)
    station: Mapped[str] = mapped_column(String(64), primary_key=True)
    received: Mapped[int] = mapped_column(Integer)
    bytes: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(Integer)
    quarantined: Mapped[int] = mapped_column(Integer)


class ReadingSum(_OfPeriod, Base):
    """Readings that were made in a period."""

    __tablename__ = "reading_sum"

    source: Mapped[str] = mapped_column(String(16), primary_key=True)
    station: Mapped[str] = mapped_column(String(64), primary_key=True)
    bundle: Mapped[str] = mapped_column(String(128), primary_key=True)
    readings: Mapped[int] = mapped_column(Integer)
    positive: Mapped[int] = mapped_column(Integer)
    probability: Mapped[str] = mapped_column(Text)
    """Histogram of the calibrated probability of pneumonia."""
    wait: Mapped[str] = mapped_column(Text)
    """Histogram of the time from the film's arrival to its first reading."""
    measured: Mapped[int] = mapped_column(Integer)
    """Of how many readings the film's grey is known."""
    grey_mean: Mapped[float] = mapped_column(Float)
    """Sum of them; `_squares`: sum of their squares; `_histogram`: their histogram."""
    grey_mean_squares: Mapped[float] = mapped_column(Float)
    grey_mean_histogram: Mapped[str] = mapped_column(Text)
    grey_spread: Mapped[float] = mapped_column(Float)
    grey_spread_squares: Mapped[float] = mapped_column(Float)
    grey_spread_histogram: Mapped[str] = mapped_column(Text)


class StudySum(_OfPeriod, Base):
    """Studies that began to come in a period, as their latest reports say."""

    __tablename__ = "study_sum"

    source: Mapped[str] = mapped_column(String(16), primary_key=True)
    bundle: Mapped[str] = mapped_column(String(128), primary_key=True)
    """"" where there is no report yet."""
    studies: Mapped[int] = mapped_column(Integer)
    failed: Mapped[int] = mapped_column(Integer)
    """Of which no film could be read."""
    positive: Mapped[str] = mapped_column(Text)
    """Histogram of the probability of those with an opacity."""
    negative: Mapped[str] = mapped_column(Text)
    """Histogram of the probability of the others."""


class DeliverySum(_OfPeriod, Base):
    """Objects that a destination took for the first time, or refused for good, in a period."""

    __tablename__ = "delivery_sum"

    destination: Mapped[str] = mapped_column(String(96), primary_key=True)
    sent: Mapped[int] = mapped_column(Integer)
    rejected: Mapped[int] = mapped_column(Integer)
    latency: Mapped[str] = mapped_column(Text)
    """Histogram of the time from the arrival of the last film to the acknowledgement."""


class ShadowSum(_OfPeriod, Base):
    """Films that two bundles were asked about, by when the one in shadow answered."""

    __tablename__ = "shadow_sum"

    active: Mapped[str] = mapped_column(String(128), primary_key=True)
    shadow: Mapped[str] = mapped_column(String(128), primary_key=True)
    both_positive: Mapped[int] = mapped_column(Integer)
    active_only: Mapped[int] = mapped_column(Integer)
    shadow_only: Mapped[int] = mapped_column(Integer)
    both_negative: Mapped[int] = mapped_column(Integer)
    difference: Mapped[float] = mapped_column(Float)
    """Sum of shadow less active probability."""
    absolute_difference: Mapped[float] = mapped_column(Float)
    not_read: Mapped[int] = mapped_column(Integer)
    """Refused or failed in shadow, though the active bundle read them."""
