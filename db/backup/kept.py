"""The backups of a folder: when the next one is due, and which are old enough to go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.backup.check import check_backup
from db.backup.sealed import BackupError

_NAMED = "hilum-%Y%m%dT%H%M%SZ.backup"
_NAME = re.compile(r"hilum-\d{8}T\d{6}Z\.backup")
_PARTIAL = re.compile(rf"{_NAME.pattern}\.part")
_PARTIAL_IS_LEFT = timedelta(days=1)
"""By then a backup is made, or whoever made it was killed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup of the folder, by the time in its name."""

    path: Path
    made_at: datetime


def name_of(now: datetime) -> str:
    """Return the name of a backup that is made now."""
    return now.astimezone(UTC).strftime(_NAMED)


def kept(folder: Path) -> list[Kept]:
    """List the backups that were named by `name_of`, the newest first.

    Raises:
        OSError: the folder cannot be read.
    """
    paths = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    found = [Kept(each, datetime.strptime(each.name, _NAMED).replace(tzinfo=UTC)) for each in paths]
    return sorted(found, key=lambda each: each.made_at, reverse=True)


def is_due(folder: Path, hour: int, now: datetime) -> bool:
    """Tell whether none was made since it last was `hour` o'clock (UTC).

    Raises:
        OSError: the folder cannot be read.
    """
    since = now.astimezone(UTC).replace(hour=hour, minute=0, second=0, microsecond=0)
    if since > now:
        since -= timedelta(days=1)
    # One of the future was named by a clock that went wrong, and stands for no day.
    return not any(since <= each.made_at <= now for each in kept(folder))


def prune(folder: Path, keep_days: int, passphrase: str, now: datetime) -> int:
    """Delete the backups that are older than so many days, never the newest; return how many.

    The newest is read to its end before, and where it is not whole, none is deleted.

    Raises:
        BackupError: the newest is not whole.
        OSError: a file cannot be read or deleted.
    """
    _remove_left(folder, now)
    found = kept(folder)
    old = [each for each in found[1:] if each.made_at < now - timedelta(days=keep_days)]
    if not old:
        return 0
    try:
        check_backup(found[0].path, passphrase)
    except BackupError as error:
        raise BackupError(
            f"{found[0].path}, the newest backup, cannot be restored, so no older one was deleted:"
            f" {error}"
        ) from None
    for each in old:
        each.path.unlink()
    return len(old)


def _remove_left(folder: Path, now: datetime) -> None:
    """Delete what backups that were killed had written."""
    before = (now - _PARTIAL_IS_LEFT).timestamp()
    for path in folder.iterdir():
        if _PARTIAL.fullmatch(path.name) and path.stat().st_mtime < before:
            path.unlink()
