"""The part of `hilum doctor` that looks at who else can read what only Hilum should."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from commands.check import Check, Verdict
from settings import Loaded
from settings.exposed import plain_secrets, secret_files

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MOST_FILES = 20_000
"""How many entries of the data folder are looked at; of more, the first ones."""


def permissions(loaded: Loaded) -> Iterator[Check]:
    """Look at the data folder, at the configuration file, and at the files that hold secrets."""
    bad = [*_data(loaded.settings.data_path), *_configuration(loaded), *_secrets(loaded)]
    yield from bad or [Check("permissions", Verdict.GOOD, "nobody else can read films or secrets")]


def _data(folder: Path) -> Iterator[Check]:
    entries = [folder, *islice(folder.rglob("*"), _MOST_FILES)] if folder.exists() else []
    open_ = [path for path in entries if _is_open(path)]
    if folder in open_:
        # Without entering it, nobody reaches what lies below.
        text = f"others may enter {folder}: chmod -R go= {folder}"
        yield Check("permissions", Verdict.BAD, text)
    elif open_:
        text = f"{len(open_)} files below {folder} are open to others, as {open_[0]} is"
        yield Check("permissions", Verdict.NOTE, f"{text}; chmod -R go= {folder}")


def _configuration(loaded: Loaded) -> Iterator[Check]:
    file = loaded.config_file
    if file is None or not _is_open(file):
        return
    keys = [
        key for key, origin in plain_secrets(loaded.settings, loaded.origins) if origin == str(file)
    ]
    if keys:
        text = f"others can read {file}, which holds {', '.join(keys)}: chmod 600 {file}"
        yield Check("permissions", Verdict.BAD, text)


def _secrets(loaded: Loaded) -> Iterator[Check]:
    for key, file in secret_files(loaded.settings):
        if file.exists() and _is_open(file):
            text = f"others can read {file}, which holds {key}: chmod 600 {file}"
            yield Check("permissions", Verdict.NOTE, text)


def _is_open(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # gone since it was listed
        return False
    return not stat.S_ISLNK(mode) and bool(mode & _OTHERS)
