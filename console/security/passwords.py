"""Passwords: what may be one, how it is kept (Argon2id, RFC 9106), how it is held against that."""

from __future__ import annotations

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

SHORTEST = 12
LONGEST = 256
_AT_ONCE = 2
"""Hashes at a time: each takes 64 MiB and a core, and anybody may ask for one."""


class Passwords:
    """Makes hashes of passwords, and holds passwords against them."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """`hasher`: another one, as tests use; by default with the second choice of RFC 9106 4."""
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._turn = threading.BoundedSemaphore(_AT_ONCE)
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        """Return what is kept of a password."""
        with self._turn:
            return self._hasher.hash(password)

    def fits(self, kept: str | None, password: str) -> bool:
        """Tell whether a password is the one that `kept` was made of.

        Where there is none it takes just as long, so that nobody learns which users there are.
        """
        with self._turn:
            try:
                fits = self._hasher.verify(kept or self._nobody, password)
            except (VerificationError, InvalidHashError):
                return False
        return fits and kept is not None

    def is_dated(self, kept: str) -> bool:
        """Tell whether a hash was made with less effort than is made today."""
        return self._hasher.check_needs_rehash(kept)


def objection(password: str, name: str) -> str | None:
    """Say why this may not be the password of the user `name`; None where it may.

    Length is what counts, and no classes of characters are asked for (NIST SP 800-63B 3.1.1.2).
    """
    if len(password) < SHORTEST:
        return f"A password has at least {SHORTEST} characters."
    if len(password) > LONGEST:
        return f"A password has at most {LONGEST} characters."
    if len(set(password)) < 5:
        return "This repeats the same few characters."
    if name.lower() in password.lower():
        return "A password does not contain the user's name."
    return None


def made_up() -> str:
    """Return a password for a first login: 80 bits in groups that can be typed."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))
