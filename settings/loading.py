"""How the sources become one configuration, each value with its origin."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from settings.effective import Effective, effective
from settings.errors import SettingsError, explain
from settings.model import Settings

CONFIG_VARIABLE = "HILUM_CONFIG"
DEFAULT_CONFIG = Path("hilum.toml")
COMMAND_LINE = "command line"
"""The origin of what was given by --set."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings together with where each key came from ("default" where nothing set it)."""

    settings: Settings
    origins: Mapping[str, str]
    config_file: Path | None

    def effective(self) -> list[Effective]:
        """List every value in effect, in the order of the model."""
        return effective(self.settings, self.origins)


def load(
    overrides: Mapping[str, Any] | None = None,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Merge defaults, the TOML file, `HILUM_*` variables and command line overrides.

    `overrides` maps dotted keys to values. The file is `config`, else the one `HILUM_CONFIG` names,
    else `hilum.toml` in the working folder if there is one.

    Raises:
        SettingsError: a file cannot be read or parsed, a key is unknown or a value is wrong.
    """
    environ = os.environ if environ is None else environ
    path = _config_path(config, environ)
    sources: list[tuple[str, dict[str, Any]]] = []
    if path is not None:
        sources.append((str(path), _read_toml(path)))
    sources.append(("environment", _Environment(environ)()))
    sources.append((COMMAND_LINE, _nested(overrides or {})))

    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, values in sources:
        _merge(merged, values)
        for key in _flat_keys(values):
            origins[key] = name if name != "environment" else _variable(key)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingsError("\n".join(explain(error, merged, origins))) from None
    return Loaded(settings, origins, path)


def _config_path(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is not None:
        return config
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; `hilum config --template` makes one") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: cannot be read: it is no text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


class _Environment(EnvSettingsSource):
    """The `HILUM_*` variables of an environment; an empty one counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Settings)
        self.env_vars = {name.lower(): value for name, value in environ.items() if value}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Parse JSON; what is none stays as it is, for validation to name it."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def _nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        table = result
        for parent in parents:
            table = table.setdefault(parent, {})
        table[last] = value
    return result


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _flat_keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat_keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _variable(key: str) -> str:
    return "HILUM_" + key.replace(".", "__").upper()
