"""Thousands of calls that the OpenAPI document allows, and such as it does not (schemathesis)."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from console.context import Context
from db.session import Database
from db.states import UserRole
from tests.console.api.calling import program
from tests.console.api.serving import served
from tests.console.browsing import running_console
from tests.db.makers import Clock, film, reported_study, send_all

SEED = os.environ.get("HILUM_SCHEMA_SEED", "1")
LEFT_OUT = "ignored_auth,use_after_free,positive_data_acceptance"
"""Checks that do not fit: what is allowed may be refused as things stand (404, 409), and who may
call what is held by tests/console/test_access.py for every route."""

ZIPPED = "register_bundle_api_v1_bundles_post"
"""It takes a ZIP, which schemathesis cannot make; tests/console/api/test_api_bundles.py does."""

_SOCKETS = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
"""A peer that exists in the document's examples alone is called too. Where a network accepts the
connection and says nothing, pynetdicom leaves its socket to the garbage collector."""


@_SOCKETS
def test_the_api_does_what_its_document_says(
    database: Database, clock: Clock, fast_folder: Path
) -> None:
    check(database, clock, fast_folder, "--phases=examples,coverage", "--max-examples=3")


@_SOCKETS
@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_api_does_what_its_document_says_whatever_is_sent(
    database: Database, clock: Clock, fast_folder: Path
) -> None:
    how = ("--phases=coverage,fuzzing,stateful", "--max-examples=20", "--max-time=240")
    check(database, clock, fast_folder, *how)


def check(database: Database, clock: Clock, folder: Path, *how: str) -> None:
    """Call everything that there is, with a database that has something of all."""
    with (
        running_console(database, folder, console__requests_per_minute=1_000_000) as context,
        program(context, UserRole.ADMIN) as calling,
    ):
        fill(context, database, clock)
        with served(context) as url:
            told = schemathesis(f"{url}/api/v1/openapi.json", calling.token, folder, how)
    gc.collect()
    assert told.returncode == 0, told.stdout[-8000:] + told.stderr[-2000:]
    assert " passed" in told.stdout, told.stdout


def fill(context: Context, database: Database, clock: Clock) -> None:
    """Make some studies."""
    for name in ("Curie^Marie", "Röntgen^Wilhelm", "<b>^x"):
        reported_study(database, clock, film(patient_name=name))
    send_all(database)


def schemathesis(
    document: str, token: str, folder: Path, how: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run it against a document."""
    tool = Path(sys.executable).parent / "schemathesis"
    if not tool.exists() and shutil.which("schemathesis") is None:
        pytest.skip("schemathesis is not installed")
    command = [
        str(tool if tool.exists() else "schemathesis"),
        "--no-color",
        "run",
        document,
        "--header",
        f"Authorization: Bearer {token}",
        f"--seed={SEED}",
        "--generation-database=none",
        "--continue-on-failure",
        "--no-shrink",
        f"--exclude-checks={LEFT_OUT}",
        f"--exclude-operation-id={ZIPPED}",
        "--suppress-health-check=all",
        "--warnings=off",
        *how,
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=850)
