"""`hilum backup` and `hilum restore`: everything that Hilum keeps, as one encrypted file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from audit.events import RESTRICTED_FUNCTION
from audit.trail import person
from commands.audited import done_by_person
from commands.problem import ProblemError
from commands.roles import opened
from db.backup import check_backup, restore_backup
from db.files import FileStore
from scp_service.backups import back_up, incomplete, passphrase_of
from settings import Settings


def backup(settings: Settings, file: Path | None) -> tuple[str, bool]:
    """Back up to a file, or into `backup.folder`; return what to say, and whether all is well.

    Raises:
        BackupError: there is no passphrase, the file exists already, or it is not whole.
    """
    passphrase_of(settings)
    with opened(settings) as (database, store):
        made = back_up(settings, database, store, by=person(), now=datetime.now(UTC), file=file)
    packed, size = made.packed, f"{made.packed.bytes / 1e6:,.1f} MB"
    sentence = (
        f"{packed.rows} rows and {packed.files} files are in {made.file} ({size}, encrypted)."
    )
    if made.deleted:
        sentence += f" {made.deleted} old backups were deleted."
    problem = incomplete(packed)
    return (sentence, True) if problem is None else (f"{sentence} BUT {problem}.", False)


def verify(settings: Settings, file: Path) -> str:
    """Read a backup to its end, without restoring it; return what to say.

    Raises:
        ProblemError: there is no such file.
        BackupError: there is no passphrase, or it is not whole.
    """
    if not file.is_file():
        raise ProblemError(f"{file}: no such file")
    checked = check_backup(file, passphrase_of(settings))
    made = checked.made_at.strftime("%Y-%m-%d %H:%M UTC")
    return f"{file} is whole: of {made}, with {checked.files} files."


def restore(settings: Settings, file: Path) -> str:
    """Restore a backup; return what to say.

    Raises:
        ProblemError: there is no such file.
        BackupError: there is no passphrase, or it cannot be restored.
    """
    if not file.is_file():
        raise ProblemError(f"{file}: no such file")
    os.umask(0o077)
    store = FileStore(settings.data_path)
    restored = restore_backup(file, settings.database, store, passphrase_of(settings))
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
