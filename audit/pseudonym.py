"""A name for a patient who was erased: the same each time, and of no use to who lacks the key."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

_KEY = "pseudonym.key"
_KEY_BYTES = 32


def pseudonym(folder: Path, patient_id: str) -> str:
    """Return the HMAC-SHA256 of a Patient ID, by a key of this installation.

    Raises:
        OSError: the key can neither be read nor made.
    """
    return hmac.new(_key(folder), patient_id.encode(), hashlib.sha256).hexdigest()


def _key(folder: Path) -> bytes:
    """Read the key; at first use it is made, whole or not at all."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file, fresh = folder / _KEY, folder / f"{_KEY}.{os.getpid()}"
    if not file.exists():
        descriptor = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as made:
            made.write(secrets.token_bytes(_KEY_BYTES))
        try:
            file.hardlink_to(fresh)
        except FileExistsError:
            pass  # another process was faster: its key holds
        finally:
            fresh.unlink()
    return file.read_bytes()
