"""Backup and restore of database and files, as one encrypted file that either database takes."""

from __future__ import annotations

from db.backup.pack import Packed, write_backup
from db.backup.sealed import BackupError
from db.backup.unpack import Restored, refuse_unfinished, restore_backup

__all__ = [
    "BackupError",
    "Packed",
    "Restored",
    "refuse_unfinished",
    "restore_backup",
    "write_backup",
]
