"""`hilum backup` and `hilum restore`: everything that Hilum keeps, as one encrypted file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from audit.events import RESTRICTED_FUNCTION
from commands.audited import done_by_person
from commands.problem import ProblemError
from commands.roles import opened
from db.backup import restore_backup, write_backup
from db.files import FileStore
from settings import Settings
from settings.secrets import SecretError, reveal


def backup(settings: Settings, file: Path) -> tuple[str, bool]:
    """Back up; return what to say, and whether all files were as they were recorded.

    Raises:
        ProblemError: there is no passphrase.
        BackupError: the file exists already.
    """
    passphrase = _passphrase(settings)
    with opened(settings) as (database, store):
        packed = write_backup(file, database, store, passphrase, now=datetime.now(UTC))
    done_by_person(
        settings,
        RESTRICTED_FUNCTION,
        f"A backup of all data was made: {packed.rows} rows, {packed.files} files.",
        resource=str(file.absolute()),
    )
    size = f"{packed.bytes / 1e6:,.1f} MB"
    sentence = f"{packed.rows} rows and {packed.files} files are in {file} ({size}, encrypted)."
    if not packed.missing and not packed.damaged:
        return sentence, True
    return (
        f"{sentence} BUT {packed.missing} files that the history names are missing, and"
        f" {packed.damaged} are damaged (put in as they are): look at the disk, and at earlier"
        " backups.",
        False,
    )


def restore(settings: Settings, file: Path) -> str:
    """Restore a backup; return what to say.

    Raises:
        ProblemError: there is no passphrase, or no such file.
        BackupError: it cannot be restored.
    """
    if not file.is_file():
        raise ProblemError(f"{file}: no such file")
    os.umask(0o077)
    store = FileStore(settings.data_path)
    restored = restore_backup(file, settings.database, store, _passphrase(settings))
    done_by_person(
        settings,
        RESTRICTED_FUNCTION,
        f"A backup was restored: {restored.rows} rows, {restored.files} files.",
        resource=str(file.absolute()),
    )
    made = restored.made_at.strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{restored.rows} rows and {restored.files} files of {made} were restored to {store.root}."
        " What came since is not in it: `hilum fetch` has films come again from an archive."
    )


def _passphrase(settings: Settings) -> str:
    given = settings.backup.passphrase
    if given is None:
        raise ProblemError(
            "backups are encrypted, and there is no passphrase: set backup.passphrase to file:PATH"
            " or env:NAME (in hilum.toml, or as HILUM_BACKUP__PASSPHRASE)"
        )
    try:
        return reveal(given)
    except SecretError as error:
        raise ProblemError(str(error)) from None
