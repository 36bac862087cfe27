"""The backup of the day: written to its folder, told in the audit trail, and the old ones go."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from audit import Trail, events
from audit.message import Participant
from db.backup import BackupError, Packed, name_of, prune, write_backup
from db.files import FileStore
from db.session import Database
from settings import Settings
from settings.secrets import SecretError, reveal


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made: what is in it, and how many old ones were deleted for it."""

    file: Path
    packed: Packed
    deleted: int


def back_up(
    settings: Settings,
    database: Database,
    store: FileStore,
    *,
    by: str,
    now: datetime,
    file: Path | None = None,
) -> Made:
    """Back up to a file, or to `backup.folder`, of which old backups then go.

    They all stay where films or results are missing or damaged: an old backup may have them.

    Args:
        settings: passphrase, folder and how long backups are kept.
        database, store: what is backed up.
        by: who does it, for the trail.
        now: aware.
        file: a new file, instead of one in the folder.

    Raises:
        BackupError: no passphrase or folder, the file exists, or the backup is not whole.
        OSError: no room, or a disk failed.
    """
    passphrase = passphrase_of(settings)
    keep_days = settings.backup.keep_days if file is None else 0
    target = _in_folder(settings, now) if file is None else file
    if not target.absolute().parent.is_dir():
        raise BackupError(f"{target}: there is no folder {target.absolute().parent}; make it")
    packed = write_backup(target, database, store, passphrase, now=now)
    with closing(Trail(settings)) as trail:
        trail.add(
            events.alert(
                trail.now(),
                events.RESTRICTED_FUNCTION,
                reporter=trail.ours,
                performer=Participant(by, requestor=True),
                description=f"A backup of all data was made: {packed.rows} rows,"
                f" {packed.files} files.",
                resource=str(target.absolute()),
            )
        )
    deleted = 0
    if keep_days and not packed.missing and not packed.damaged:
        deleted = prune(target.parent, keep_days, passphrase, now)
    return Made(target, packed, deleted)


def incomplete(packed: Packed) -> str | None:
    """Say what is wrong with a backup that was made; None where nothing is."""
    if not packed.missing and not packed.damaged:
        return None
    return (
        f"{packed.missing} files that the history names are missing, and {packed.damaged} are"
        " damaged (put in as they are): look at the disk, and at earlier backups"
    )


def passphrase_of(settings: Settings) -> str:
    """Return the passphrase of backups.

    Raises:
        BackupError: there is none, or it cannot be read.
    """
    given = settings.backup.passphrase
    if given is None:
        raise BackupError(
            "backups are encrypted, and there is no passphrase: set backup.passphrase to file:PATH"
            " or env:NAME (in hilum.toml, or as HILUM_BACKUP__PASSPHRASE)"
        )
    try:
        return reveal(given)
    except SecretError as error:
        raise BackupError(str(error)) from None


def folder_of(settings: Settings) -> Path:
    """Return the folder of daily backups, which is never made: it may be a disk not mounted.

    Raises:
        BackupError: none is configured, or it is not there.
    """
    if settings.backup.folder is None:
        raise BackupError("name a file, or set backup.folder to where backups go")
    folder = settings.backup.folder.expanduser()
    if not folder.is_dir():
        raise BackupError(f"{folder}: no such folder; make it or mount it (backup.folder)")
    return folder


def _in_folder(settings: Settings, now: datetime) -> Path:
    return folder_of(settings) / name_of(now)
