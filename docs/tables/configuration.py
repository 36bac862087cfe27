"""The keys of hilum.toml that decide how we behave on the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.tables.marked import table
from settings import DicomDestination, Settings
from settings.archives import DicomArchive
from settings.peers import Peer
from settings.shape import sections_of

_SECTIONS: Mapping[str, type[BaseModel]] = {
    "listener": type(Settings().listener),
    "peers": Peer,
    "destinations": DicomDestination,
    "archives": DicomArchive,
    "delivery": type(Settings().delivery),
    "report": type(Settings().report),
}


def keys() -> str:
    """Return every key with its default and its meaning."""
    told: dict[type[BaseModel], str] = {}
    rows = [row for name, section in _SECTIONS.items() for row in _rows(name, section, told)]
    return table(("key", "default", "meaning"), rows)


def _rows(
    path: str, section: type[BaseModel], told: dict[type[BaseModel], str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the keys of a table; of one that stands elsewhere already, where."""
    if section in told:
        yield f"`{path}`", "", f"The same keys as `{told[section]}`."
        return
    told[section] = path
    for name, field in section.model_fields.items():
        inner = sections_of(field)
        if inner:
            yield from _rows(f"{path}.{name}", inner[0], told)
        else:
            yield f"`{path}.{name}`", _default(field), field.description or ""


def _default(field: FieldInfo) -> str:
    default = field.default
    if default is PydanticUndefined:
        return "needed"
    if default is None:
        return "unset"
    if isinstance(default, tuple):
        many = len(default) > 4
        return "all" if many else ", ".join(map(str, default)) or "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:,}" if isinstance(default, int) and default >= 100_000 else str(default)
