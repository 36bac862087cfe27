"""Which secrets are given as themselves, and which files hold the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from settings.errors import origin_of
from settings.model import Settings
from settings.secrets import file_of, is_elsewhere, variable_of


def plain_secrets(settings: Settings, origins: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield key and origin of every secret that is given as itself, not as file: or env:."""
    for key, secret in _secrets(settings):
        url = urlsplit(secret.get_secret_value()) if key == "database_url" else None
        holds_one = not is_elsewhere(secret) if url is None else url.password is not None
        if holds_one:
            yield key, origin_of(key, origins)


def secret_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield key and path of every file that holds a secret, private keys included."""
    for key, secret in _secrets(settings):
        if (file := file_of(secret)) is not None:
            yield key, file
    for key, value in _leaves(settings):
        if key.endswith("tls.key") and isinstance(value, Path):
            yield key, value.expanduser()


def secret_variables(settings: Settings) -> Iterator[str]:
    """Yield the name of every environment variable that holds a secret."""
    for _, secret in _secrets(settings):
        if (name := variable_of(secret)) is not None:
            yield name


def _secrets(settings: Settings) -> Iterator[tuple[str, SecretStr]]:
    for key, value in _leaves(settings):
        if isinstance(value, SecretStr):
            yield key, value


def _leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for index, item in enumerate(value):
                yield from _leaves(item, f"{prefix}{name}[{index}].")
        else:
            yield prefix + name, value
