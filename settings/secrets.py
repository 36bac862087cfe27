"""Secrets: given in the configuration itself, or as the name of the file or variable with it."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

_FILE, _VARIABLE = "file:", "env:"


def is_elsewhere(secret: SecretStr) -> bool:
    """Tell whether this names where the secret stands, instead of being it."""
    return secret.get_secret_value().startswith((_FILE, _VARIABLE))


def file_of(secret: SecretStr) -> Path | None:
    """Return the file that holds the secret; None where it stands elsewhere."""
    given = secret.get_secret_value()
    if not given.startswith(_FILE):
        return None
    return Path(given.removeprefix(_FILE)).expanduser()


def variable_of(secret: SecretStr) -> str | None:
    """Return the environment variable that holds the secret; None where it stands elsewhere."""
    given = secret.get_secret_value()
    return given.removeprefix(_VARIABLE) if given.startswith(_VARIABLE) else None


class SecretError(Exception):
    """A secret cannot be had; the message says from where, and never shows it."""


def reveal(secret: SecretStr) -> str:
    """Return a secret: `file:PATH` stands for a file's content, `env:NAME` for a variable's.

    It is read anew each time, so that it may be changed while Hilum runs. White space around it
    does not count.

    Raises:
        SecretError: the file cannot be read or the variable is not set, or it is empty.
    """
    given = secret.get_secret_value()
    if (path := file_of(secret)) is not None:
        try:
            found, where = path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            kind = getattr(error, "strerror", None) or "it is no text"
            raise SecretError(f"the secret's file {path} cannot be read ({kind})") from None
    elif given.startswith(_VARIABLE):
        where = given.removeprefix(_VARIABLE)
        found = os.environ.get(where, "")
    else:
        found, where = given, "the configuration"
    if not found.strip():
        raise SecretError(f"the secret is empty or not set ({where})")
    return found.strip()
