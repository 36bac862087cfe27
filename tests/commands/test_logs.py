"""What is logged, and how: lines for people, JSON for programs, nothing of a patient."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from commands.logs import configure_logging

_log = logging.getLogger("inference.worker.anything")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Put back what `configure_logging` changes of this process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    root.handlers[:], root.level = handlers, level
    sys.excepthook, threading.excepthook = hooks
    for package in ("commands", "db", "inference", "scp_service", "settings", "training"):
        logging.getLogger(package).setLevel(logging.NOTSET)


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return the JSON objects on standard error."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_has_a_message_s_parts_and_our_ids_as_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("work", "info", "json")
    _log.warning("A film of %s was lost.", "two", extra={"study": 12, "task": 40})
    (said,) = logged(capsys)
    assert datetime.fromisoformat(str(said.pop("time"))).tzinfo is not None
    assert said == {
        "level": "warning",
        "role": "work",
        "logger": "inference.worker.anything",
        "message": "A film of two was lost.",
        "study": 12,
        "task": 40,
    }


def test_a_line_for_people_ends_with_our_ids(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("work", "info")
    _log.warning("A film was lost.", extra={"film": 3, "task": 40})
    _log.info("All is well.")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("WARNING work: A film was lost. [film 3, task 40]")
    assert second.endswith("INFO work: All is well.")


@pytest.mark.parametrize("form", ["text", "json"])
def test_of_an_exception_only_its_kind_is_logged(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    configure_logging("work", "debug", "json" if form == "json" else "text")

    def fail() -> None:
        raise ValueError("Canary^Patient")

    try:
        fail()
    except ValueError:
        _log.exception("It failed.")
    thread = threading.Thread(target=fail, name="lane-pacs")
    thread.start()
    thread.join()
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 2
    assert text.count("ValueError") == 2
    assert "ended lane-pacs" in text
    assert "Canary" not in text


def test_what_other_libraries_say_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("work", "debug", "json")
    logging.getLogger("pydicom").error("Canary^Patient")
    logging.getLogger("pynetdicom.acse").error("Canary^Patient")
    assert capsys.readouterr().err == ""
