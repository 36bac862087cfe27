"""Monitoring: how the work flows, and whether the model's readings have moved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

import numpy as np
from fastapi import APIRouter, Query
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from console.charts.figures import (
    films_plot,
    grey_plot,
    latency_plot,
    probability_plot,
    share_plot,
    step_name,
)
from console.context import Context, ContextDep
from console.pages.moved import said_of
from console.pages.render import render
from console.pages.span import PRESETS, span_of
from console.security.access import Reader
from db import alarms, verdicts
from db.models import Alarm
from db.standing import Standing, standing
from db.states import TaskKind, TaskState
from db.sums.ask import Summed, rows, summed
from db.sums.drift import BASELINE_DAYS, bundles, drifts
from db.sums.flow import flow
from db.sums.histograms import Counts
from db.sums.periods import Period
from db.sums.shadow import agreements
from db.sums.tables import FILMS
from db.sums.threshold import standings

router = APIRouter(include_in_schema=False)

_RECENT = timedelta(days=7)

Text = Annotated[str | None, Query(max_length=128)]
Day = Annotated[str | None, Query(max_length=10)]


@dataclass(frozen=True, slots=True)
class Now:
    """What waits at this moment, and how much room there is."""

    films: int
    reports: int
    oldest: datetime | None
    objects: int
    open_studies: int
    quarantined: dict[str, int]
    waiting: dict[str, tuple[int, datetime]]
    free_bytes: int
    total_bytes: int
    days_left: float | None
    alarms: list[Alarm]


@router.get("/monitoring")
def monitoring(
    request: Request,
    context: ContextDep,
    who: Reader,
    period: Text = None,
    since: Annotated[Day, Query(alias="from")] = None,
    until: Annotated[Day, Query(alias="to")] = None,
    source: Text = None,
) -> Response:
    """Show what waits now, and how the work of a period flowed."""
    with context.database.read() as session:
        now = context.database.now(session)
        span = span_of(period, since, until, now)
        known = summed(session)
        found = flow(
            session, span.period, known, length=span.flow_length, now=now, source=source or None
        )
        present = _now(session, context, known, now)
        everyone = (
            found
            if not source
            else flow(session, span.period, known, length=span.flow_length, now=now)
        )
    return render(
        request,
        "monitoring.html",
        who=who,
        now=now,
        present=present,
        flow=found,
        span=span,
        presets=_presets("/monitoring", {"source": source}),
        source=source or "",
        sources=sorted({each.source for each in everyone.stations} | {source or ""}),
        plots=[films_plot(found), latency_plot(found)],
        step_name=step_name,
    )


@router.get("/monitoring/model")
def model(
    request: Request,
    context: ContextDep,
    who: Reader,
    period: Text = None,
    since: Annotated[Day, Query(alias="from")] = None,
    until: Annotated[Day, Query(alias="to")] = None,
    bundle: Text = None,
    source: Text = None,
    station: Text = None,
) -> Response:
    """Show whether what a bundle says, or is given, has moved, and how others agree with it."""
    with context.database.read() as session:
        now = context.database.now(session)
        span = span_of(period or "30d", since, until, now)
        known = summed(session)
        used = bundles(session, span.period, known)
        chosen = bundle or (used[0][0] if used else "")
        length = span.drift_length(dict(used).get(chosen, 0))
        found = drifts(session, span.period, known, bundle=chosen, length=length)
        compared = agreements(session, span.period, known)
        agreed = {
            by: verdicts.agreement(session, since=span.period.since, until=span.period.until, by=by)
            for by in ("bundle", "source", "station")
        }
    place = (source or "", station or "")
    shown = found.get(place) or found.get(("", ""))
    plots = []
    if shown is not None:
        if shown.positives is not None:
            plots.append(share_plot(f"Positive rate, by {length.value}", shown.positives, length))
        plots.append(probability_plot(shown.probabilities, shown.probabilities_before))
        if shown.grey is not None:
            plots.append(grey_plot("Mean grey of the films", shown.grey, length))
        if shown.spread is not None:
            plots.append(grey_plot("Spread of grey in the films", shown.spread, length))
    return render(
        request,
        "monitoring_model.html",
        who=who,
        now=now,
        span=span,
        presets=_presets(
            "/monitoring/model", {"bundle": bundle, "source": source, "station": station}
        ),
        bundles=used,
        bundle=chosen,
        drifts=[(each, said_of(each, length)) for each in found.values()],
        shown=shown,
        said=None if shown is None else said_of(shown, length),
        plots=plots,
        baseline_days=BASELINE_DAYS[length],
        length=length,
        agreements=compared,
        verdicts=agreed,
        link=_linker("/monitoring/model", {**span.query, "bundle": bundle}),
    )


@router.get("/monitoring/threshold")
def threshold(
    request: Request,
    context: ContextDep,
    who: Reader,
    period: Text = None,
    since: Annotated[Day, Query(alias="from")] = None,
    until: Annotated[Day, Query(alias="to")] = None,
    bundle: Text = None,
    at: Annotated[float, Query(ge=0, le=1)] = 0.5,
) -> Response:
    """Show what another threshold would have changed of the studies of a period."""
    at = round(at, 3)
    with context.database.read() as session:
        now = context.database.now(session)
        span = span_of(period or "30d", since, until, now)
        known = summed(session)
        used = bundles(session, span.period, known)
        found = standings(session, span.period, known, bundle=bundle or None)
    return render(
        request,
        "monitoring_threshold.html",
        who=who,
        now=now,
        span=span,
        presets=_presets("/monitoring/threshold", {"bundle": bundle, "at": f"{at:g}"}),
        bundles=used,
        bundle=bundle or "",
        at=at,
        standings=found,
        steps=[(_steps(each.positive), _steps(each.negative)) for each in found],
        rows=[each.at(at) for each in found],
    )


def _now(session: Session, context: Context, known: Summed, now: datetime) -> Now:
    waits = standing(session)
    disk = shutil.disk_usage(context.files.root)
    recent = rows(session, FILMS, Period.around(now - _RECENT, now), known)
    a_day = sum(row["bytes"] for row in recent) / (_RECENT / timedelta(days=1))
    return Now(
        films=_count(waits, TaskKind.READ),
        reports=_count(waits, TaskKind.REPORT),
        oldest=min(
            (
                each.oldest
                for each in waits.tasks
                if each.kind in (TaskKind.READ, TaskKind.REPORT)
                and each.state is not TaskState.QUARANTINED
            ),
            default=None,
        ),
        objects=_count(waits, TaskKind.DELIVER),
        open_studies=waits.open_studies,
        quarantined={
            each.kind.value: each.count
            for each in waits.tasks
            if each.state is TaskState.QUARANTINED
        },
        waiting={each.destination: (each.count, each.oldest) for each in waits.undelivered},
        free_bytes=disk.free,
        total_bytes=disk.total,
        days_left=disk.free / a_day if a_day else None,
        alarms=alarms.standing(session),
    )


def _count(waits: Standing, kind: TaskKind) -> int:
    return sum(
        each.count
        for each in waits.tasks
        if each.kind is kind and each.state is not TaskState.QUARANTINED
    )


def _steps(counts: Counts) -> str:
    """Write how many probabilities lie at each thousandth for a script: `310:4 311:2`."""
    return " ".join(f"{place}:{counts[place]}" for place in np.flatnonzero(counts))


def _presets(path: str, kept: dict[str, str | None]) -> list[tuple[str, str, str]]:
    """Return name, words and address of each preset, which keeps what else is chosen."""
    given = {key: value for key, value in kept.items() if value}
    return [
        (name, words, f"{path}?{urlencode({'period': name, **given})}")
        for name, (words, _) in PRESETS.items()
    ]


def _linker(path: str, kept: dict[str, str | None]) -> Callable[..., str]:
    """Return what makes addresses of a page that keep what is chosen."""

    def link(**more: str) -> str:
        given = {key: value for key, value in {**kept, **more}.items() if value}
        return f"{path}?{urlencode(given)}"

    return link
