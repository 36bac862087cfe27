"""A commented `hilum.toml` that holds every key with its default and its meaning."""

from __future__ import annotations

from typing import Any, get_origin

from pydantic.fields import FieldInfo

from settings.model import Settings
from settings.shape import section_of


def template() -> str:
    """Return a commented `hilum.toml` that holds every key with its default and its meaning."""
    lines = ["# Hilum's configuration. Every line that is commented out shows the default.", ""]
    tables: list[str] = []
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if section is None:
            lines += _template_field(name, field)
            continue
        many = get_origin(field.annotation) is tuple
        tables += ["", f"# {(section.__doc__ or '').splitlines()[0]}"]
        tables.append(f"# [[{name}]]" if many else f"[{name}]")
        for key, inner in section.model_fields.items():
            tables += _template_field(key, inner)
    return "\n".join(lines + tables) + "\n"


def _template_field(name: str, field: FieldInfo) -> list[str]:
    default = _toml_value((field.examples or [""])[0] if field.is_required() else field.default)
    needed = " (needed)" if field.is_required() else ""
    return [f"# {field.description}{needed}", f"# {name} = {default}"]


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
