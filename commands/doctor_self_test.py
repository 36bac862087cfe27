"""`hilum doctor --self-test`: does a film of our own go the whole way?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

from commands.check import Check, Verdict
from commands.golden import next_film
from commands.roles import opened
from scp_service.self_test import SelfTest
from settings import Settings


def self_test(settings: Settings) -> Iterator[Check]:
    """Send a film through the service that runs, and compare what comes of it."""
    with opened(settings) as (database, store):
        test = SelfTest(settings, database, store, partial(next_film, settings, database))
        verdict = test.run(threading.Event())
    if not verdict.judged:
        text = "the bundle in use changed meanwhile; test again"
        yield Check("self-test", Verdict.NOTE, text)
    elif verdict.problem:
        text = f"{verdict.problem}; is `hilum serve` running? `hilum doctor` tells what is missing"
        yield Check("self-test", Verdict.BAD, text)
    else:
        text = "a film was received, read, reported and delivered, and came out as it must"
        yield Check("self-test", Verdict.GOOD, text)
