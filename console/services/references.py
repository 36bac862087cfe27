"""Which secrets may be named in the console: where they stand, and never what they are.

Who administers the console need not be who administers the machine. So that nobody has a file of
the machine read and sent to an address of their choice, only what was put down for this can be
named: files in `secrets/` below the data folder, and variables `HILUM_SECRET_*`. And a secret that
the file has goes nowhere else than to where the file sends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from console.services.errors import InvalidError
from settings.layers import AS_FILE
from settings.shape import is_secret, section_for

FOLDER = "secrets"
VARIABLE_PREFIX = "HILUM_SECRET_"
WHERE = ("url", "host", "port", "proxy")
"""The keys that say where a secret goes."""


def folder_of(root: Path) -> Path:
    """Return where the files lie that may be named; `root` is the data folder."""
    return root / FOLDER


def check_secrets(
    folder: Path,
    model: type[BaseModel],
    values: Mapping[str, Any],
    file: BaseModel | None,
) -> None:
    """Make sure that what is given in the place of secrets may be named.

    `file` is the peer or destination as the file has it.

    Raises:
        InvalidError: something is the secret itself, or may not be named.
    """
    found = {
        key: _problem(folder, str(value), values, file) for key, value in _secrets(model, values)
    }
    wrong = {key: problem for key, problem in found.items() if problem is not None}
    if wrong:
        raise InvalidError(wrong)


def _problem(
    folder: Path, given: str, values: Mapping[str, Any], file: BaseModel | None
) -> str | None:
    """Say why something may not stand in the place of a secret; None where it may."""
    if given == AS_FILE:
        if file is None:
            return "hilum.toml has none here; name where it stands"
        if any(str(values.get(key) or "") != str(getattr(file, key, None) or "") for key in WHERE):
            return (
                "the secret of hilum.toml goes nowhere else than where hilum.toml sends it;"
                " name another one for the new address"
            )
        return None
    if given.startswith("file:"):
        path = Path(given.removeprefix("file:")).expanduser()
        if path.is_absolute() and path.resolve().is_relative_to(folder.resolve()):
            return None
        return f"only a file in {folder} may be named here"
    if given.startswith("env:"):
        if given.removeprefix("env:").startswith(VARIABLE_PREFIX):
            return None
        return f"only a variable {VARIABLE_PREFIX}… may be named here"
    return "no secret is typed here: name where it stands (file:PATH or env:NAME)"


def _secrets(
    model: type[BaseModel], values: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """Yield the dotted keys of secrets that are given, with what is given."""
    fields: Mapping[str, FieldInfo] = model.model_fields
    for key, value in values.items():
        field = fields.get(key)
        if field is None or value in (None, ""):
            continue
        if isinstance(value, Mapping):
            inner = section_for(field, value)
            if inner is not None:
                yield from _secrets(inner, value, f"{prefix}{key}.")
        elif is_secret(field):
            yield prefix + key, value
