"""The part of `hilum doctor` that looks at backups: can they be made, and when was the last one?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta

from commands.check import Check, Verdict
from db.backup import BackupError, kept
from scp_service.backups import folder_of, passphrase_of
from settings import Settings

_LATE = timedelta(hours=36)
"""A day, and half of one for a machine that was off at the hour."""


def backups(settings: Settings, now: datetime) -> Iterator[Check]:
    """Look at the folder, the passphrase and the age of the newest backup; `now` is aware."""
    if settings.backup.folder is None:
        yield Check(
            "backup",
            Verdict.NOTE,
            "none is made by itself: set backup.folder and backup.passphrase, or run `hilum backup"
            " FILE` daily",
        )
        return
    try:
        passphrase_of(settings)
        folder = folder_of(settings)
    except BackupError as error:
        yield Check("backup", Verdict.BAD, str(error))
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Check("backup", Verdict.BAD, f"{folder}: this user may not write there")
        return
    made = kept(folder)
    room = f"{folder}, {shutil.disk_usage(folder).free / 1e9:.1f} GB free"
    if not made:
        text = f"{room}; there is no backup yet: `hilum schedule` makes one each day"
        yield Check("backup", Verdict.NOTE, text)
        return
    last = made[0].made_at
    if now - last > _LATE:
        text = (
            f"{room}; the newest is of {last:%Y-%m-%d %H:%M} UTC: look for an error in the log of"
            " `hilum schedule`, or make one now with `hilum backup`"
        )
        yield Check("backup", Verdict.BAD, text)
    else:
        yield Check("backup", Verdict.GOOD, f"{room}; the newest is of {last:%Y-%m-%d %H:%M} UTC")
