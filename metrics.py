"""What is counted and timed as work is done, by the names that Prometheus knows it by.

No label holds anything of a patient or of a study: sources and destinations are named as the
configuration names them, everything else is a word of ours. What can be asked of the database
instead (how much waits, how long) is not kept here, but in `scp_service.monitor.standing`.

Below `hilum serve` every role keeps its values in files of a shared folder, from which one of them
tells those of all; a role that runs alone keeps and tells its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram, values

ROLE_VARIABLE = "HILUM_ROLE"
"""In the environment of a role below `hilum serve`: its name."""
FOLDER_VARIABLE = "HILUM_SHARED_METRICS"
"""Likewise: the folder that values are shared in."""
SUPERVISOR_VARIABLE = "HILUM_SUPERVISOR"
"""Likewise: the process id of `hilum serve`."""

OTHER = "other"
"""The source of films whose sender is not configured: what it calls itself is anybody's text."""


def shared_folder(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the folder that this process shares its values in; None where it keeps its own.

    A decoding process inherits its worker's environment, and must not write to its files.
    """
    ours = environment.get(SUPERVISOR_VARIABLE) == str(os.getppid())
    return environment.get(FOLDER_VARIABLE) if ours else None


def _keep_values() -> None:
    """Choose where the values of this process live, before the first of them is made."""
    folder = shared_folder()
    if folder is None:
        values.ValueClass = values.MutexValue
        return
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    # Named by the role, not by the process: a role that was restarted counts on.
    # Asked for each time: a role that parts into processes gives each a name of its own.
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        lambda: os.environ.get(ROLE_VARIABLE, "")
    )


_keep_values()

_SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 900, 3600)
_BRIEF_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

RUNNING = Gauge(
    "hilum_role_running", "1 while the role runs.", ["role"], multiprocess_mode="livemax"
)
BUNDLE = Gauge(
    "hilum_bundle_loaded",
    "1 for the bundle that films are read with, 0 for one that was replaced.",
    ["bundle", "runtime"],
    multiprocess_mode="livemostrecent",
)
FILMS = Counter(
    "hilum_films",
    "Films that came, by configured source, and by what became of them: new, duplicate, altered,"
    " or the C-STORE status that refused them.",
    ["source", "outcome"],
)
FILM_BYTES = Counter("hilum_film_bytes", "Bytes of the data sets of new and altered films.")
ASSOCIATIONS_REFUSED = Counter(
    "hilum_associations_refused", "Associations that were rejected, by reason.", ["reason"]
)
READINGS = Counter(
    "hilum_films_settled",
    "Films that were settled: read, refused or quarantined.",
    ["outcome"],
)
READ_SECONDS = Histogram(
    "hilum_read_seconds",
    "From a film's arrival (or its being tried again by hand) to its recorded reading.",
    buckets=_SECONDS,
)
DECODE_SECONDS = Histogram(
    "hilum_decode_seconds",
    "Decoding one film and bringing it to the network's input.",
    buckets=_BRIEF_SECONDS,
)
MODEL_SECONDS = Histogram(
    "hilum_model_seconds", "One call of the network, for a whole batch.", buckets=_BRIEF_SECONDS
)
BATCH_FILMS = Histogram(
    "hilum_batch_films", "Films in one call of the network.", buckets=(1, 2, 4, 8, 16, 32, 64, 256)
)
REPORTS = Counter(
    "hilum_reports", "Reports that were made, by finding; failed where none could be.", ["finding"]
)
SELF_TESTS = Counter("hilum_self_tests", "Self-tests that passed or failed.", ["outcome"])
SELF_TEST_SECONDS = Histogram(
    "hilum_self_test_seconds", "A self-test, from its film's being sent.", buckets=_SECONDS
)
DELIVERIES = Counter(
    "hilum_deliveries",
    "Objects offered to a destination, by what it answered: stored, temporary, refused, rejected;"
    " unreachable counts the times that it could not be asked.",
    ["destination", "outcome"],
)
DELIVERY_SECONDS = Histogram(
    "hilum_delivery_seconds",
    "From a report's being made to the destination's acknowledgement of one of its objects.",
    ["destination"],
    buckets=_SECONDS,
)
