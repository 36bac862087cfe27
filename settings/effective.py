"""The values in effect, printable: secrets masked, each with its origin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr

from settings.errors import origin_of
from settings.model import Settings


@dataclass(frozen=True, slots=True)
class Effective:
    """One value in effect: dotted key, printable value with secrets masked, and its origin."""

    key: str
    value: str
    origin: str


def effective(settings: Settings, origins: Mapping[str, str]) -> list[Effective]:
    """List every value in effect, in the order of the model."""
    return [
        Effective(key, _printable(value), origin_of(key, origins))
        for key, value in _leaves(settings)
    ]


def mask_url(url: str) -> str:
    """Return `url` with its password replaced by ***."""
    url = re.sub(r"(?i)([?&][^=&]*password=)[^&]*", r"\1***", url)
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(
        parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@", 1))
    )


def _leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for index, item in enumerate(value):
                yield from _leaves(item, f"{prefix}{name}[{index}].")
        elif name == "database_url" and isinstance(model, Settings):
            yield name, mask_url(model.database)
        else:
            yield prefix + name, value


def _printable(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, tuple):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return "" if value is None else str(value)
