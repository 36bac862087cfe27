"""A commented `hilum.toml` that holds every key with its default and its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from settings.archives import Archive
from settings.destinations import Destination
from settings.model import Settings
from settings.shape import sections_of


def template() -> str:
    """Return a commented `hilum.toml` that holds every key with its default and its meaning."""
    lines = ["# Hilum's configuration. Every line that is commented out shows the default.", ""]
    tables: list[str] = []
    for name, field in Settings.model_fields.items():
        sections = sections_of(field)
        if not sections:
            lines += _field(name, field)
        many = get_origin(field.annotation) is tuple
        for section in sections:
            tables += _table(name, section, many=many)
    return "\n".join(lines + tables) + "\n"


def _table(name: str, section: type[BaseModel], *, many: bool) -> Iterator[str]:
    """Yield a table and those inside it; one of which there may be many is commented out."""
    header = f"[[{name}]]" if many else f"[{name}]"
    yield from ("", f"# {_summary(section)}", f"# {header}" if many else header)
    yield from _fields(section)
    yield from _inner(name, section, comment="# " if many else "")


def _inner(name: str, section: type[BaseModel], *, comment: str) -> Iterator[str]:
    for key, field in section.model_fields.items():
        for inner in sections_of(field):
            path = f"{name}.{key}"
            yield from ("", f"# {_summary(inner)}", f"{comment}[{path}]", *_fields(inner))
            yield from _inner(path, inner, comment=comment)


def _summary(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").splitlines()[0]


def _fields(section: type[BaseModel]) -> list[str]:
    """List the plain keys of a table; a table inside it comes after all of them."""
    fields = section.model_fields
    # Names are unique, so each of several kinds stands here by the name of its own.
    kind = fields["kind"].default if issubclass(section, Archive | Destination) else None
    return [
        line
        for key, field in fields.items()
        if not sections_of(field)
        for line in _field(key, field, example=kind if key == "name" else None)
    ]


def _field(name: str, field: FieldInfo, *, example: object = None) -> list[str]:
    if field.is_required():
        value, needed = example or (field.examples or [""])[0], " (needed)"
    else:
        value, needed = field.default, ""
    return [f"# {field.description}{needed}", f"# {name} = {_toml_value(value)}"]


def _toml_value(value: Any) -> str:
    if value is None:
        return '""  # unset'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    return f'"{value}"'
