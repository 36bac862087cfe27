"""What the long-running commands log, and how: for people, or as JSON for programs.

A message may carry ids of ours, as in `_log.error("…", extra={"study": 12})`: fields of their own
in JSON, in brackets at the end of a line. Nothing of a patient is logged, so of an exception only
its kind, never its text.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.logging import RichHandler

IDS = ("study", "film", "report", "delivery", "task")
"""The ids that a message may carry: of rows of ours, as `hilum show` has them."""

_PACKAGES = ("cluster", "commands", "db", "inference", "scp_service", "settings", "training")
_log = logging.getLogger(__name__)


def configure_logging(role: str, level: str, form: Literal["text", "json"] = "text") -> None:
    """Log to standard error: for people at a terminal in colour, elsewhere one line each.

    Of libraries nothing is shown: their messages and warnings may hold names and UIDs. What
    ends a thread or the program unforeseen is logged too, by its kind and place.
    """
    handler: logging.Handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(JsonFormatter(role))
    elif sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_path=False, markup=False)
        handler.setFormatter(TextFormatter(f"{role}: %(message)s"))
    else:
        handler.setFormatter(TextFormatter(f"%(asctime)s %(levelname)s {role}: %(message)s"))
    handler.addFilter(_is_ours)
    logging.basicConfig(level=logging.CRITICAL, handlers=[handler], force=True)
    warnings.simplefilter("ignore")
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(level.upper())
    sys.excepthook = _tell_end
    threading.excepthook = lambda ended: _tell_end(
        ended.exc_type, ended.exc_value, ended.exc_traceback
    )


class TextFormatter(logging.Formatter):
    """One line: the message, the ids that it carries, and the kind of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        known = [f"{name} {value}" for name, value in _ids(record)]
        kind = _kind(record)
        more = [*known, *([kind] if kind else [])]
        message = f"{record.getMessage()} [{', '.join(more)}]" if more else record.getMessage()
        plain = logging.makeLogRecord({**record.__dict__, "msg": message, "args": None})
        plain.exc_info = plain.exc_text = None
        return super().format(plain)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, role, logger and message, then ids and exception."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said: dict[str, object] = {
            "time": at,
            "level": record.levelname.lower(),
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
            **dict(_ids(record)),
        }
        if (kind := _kind(record)) is not None:
            said["exception"] = kind
        return json.dumps(said)


def _is_ours(record: logging.LogRecord) -> bool:
    """Tell whether one of our rooms says it: a library may have set a level of its own."""
    return record.name.partition(".")[0] in _PACKAGES


def _ids(record: logging.LogRecord) -> Iterator[tuple[str, int]]:
    for name in IDS:
        value = getattr(record, name, None)
        if value is not None:
            yield name, value


def _kind(record: logging.LogRecord) -> str | None:
    kind = record.exc_info[0] if record.exc_info else None
    return None if kind is None else kind.__name__


def _tell_end(
    kind: type[BaseException], _value: BaseException | None, trace: TracebackType | None
) -> None:
    """Log what nobody caught: its kind, and the line of ours that it came from."""
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    place = "an unknown place"
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] in (*_PACKAGES, "hilum", "__main__"):
            place = f"{module}, line {trace.tb_lineno}"
        trace = trace.tb_next
    thread = threading.current_thread().name
    _log.critical("An unforeseen error ended %s (%s in %s).", thread, kind.__name__, place)
