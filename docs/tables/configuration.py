"""The keys of hilum.toml that decide how we behave on the network."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.tables.marked import table
from settings import Destination, ImagingDestination, Settings
from settings.shape import sections_of

_TABLES = ("listener", "dicomweb", "peers", "destinations", "archives", "delivery", "report")
_MANY = 4
"""Values beyond which a default is not spelled out."""

Row = tuple[str, str, str]


def keys() -> str:
    """Return every key with its default and its meaning.

    Of destinations only the kinds that take DICOM objects. A key of several kinds stands once.
    """
    shared: dict[type[BaseModel], str] = {}
    rows: dict[str, Row] = {}
    for name in _TABLES:
        first, *others = _kinds(name)
        rows |= {row[0]: row for row in _rows(name, first, shared)}
        for kind in others:
            of = f"Kind {kind.model_fields['kind'].default}: "
            for key, default, meaning in _rows(name, kind, shared):
                rows.setdefault(key, (key, default, of + meaning))
    return table(("key", "default", "meaning"), rows.values())


def _kinds(name: str) -> list[type[BaseModel]]:
    return [
        section
        for section in sections_of(Settings.model_fields[name])
        if not issubclass(section, Destination) or issubclass(section, ImagingDestination)
    ]


def _rows(path: str, section: type[BaseModel], shared: dict[type[BaseModel], str]) -> Iterator[Row]:
    """Yield the keys of a table; of an inner one that stands elsewhere already, where."""
    for name, field in section.model_fields.items():
        key, inner = f"{path}.{name}", sections_of(field)
        if not inner:
            yield f"`{key}`", _default(field), field.description or ""
        elif same := _as_elsewhere(inner[0], shared):
            yield f"`{key}`", "", same
        else:
            shared[inner[0]] = key
            yield from _rows(key, inner[0], shared)


def _as_elsewhere(section: type[BaseModel], shared: dict[type[BaseModel], str]) -> str:
    """Say where a table's keys stand already, "" where they do not."""
    for other, key in shared.items():
        if set(section.model_fields) <= set(other.model_fields):
            less = [name for name in other.model_fields if name not in section.model_fields]
            return f"As `{key}`" + (f", without {', '.join(less)}." if less else ".")
    return ""


def _default(field: FieldInfo) -> str:
    default = field.default
    if default is PydanticUndefined:
        return "needed"
    if default is None:
        return "unset"
    if isinstance(default, tuple):
        return "all" if len(default) > _MANY else ", ".join(map(str, default)) or "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:,}" if isinstance(default, int) and default >= 100_000 else str(default)
