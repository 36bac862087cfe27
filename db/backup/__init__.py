"""Backup and restore of database and files, as one encrypted file that either database takes."""

from __future__ import annotations

from db.backup.check import Checked, check_backup
from db.backup.kept import Kept, is_due, kept, name_of, prune
from db.backup.pack import Packed, write_backup
from db.backup.sealed import BackupError
from db.backup.unpack import Restored, refuse_unfinished, restore_backup

__all__ = [
    "BackupError",
    "Checked",
    "Kept",
    "Packed",
    "Restored",
    "check_backup",
    "is_due",
    "kept",
    "name_of",
    "prune",
    "refuse_unfinished",
    "restore_backup",
    "write_backup",
]
