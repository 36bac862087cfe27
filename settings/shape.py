"""How the model is nested: which keys hold tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from settings import archives, destinations
from settings.archives import Archive
from settings.destinations import Destination


def sections_of(field: FieldInfo) -> list[type[BaseModel]]:
    """List the model classes of a section or of the items of a list; none for a plain value."""
    for model in _types(field):
        if model is Destination:
            return list(destinations.KINDS.values())
        if model is Archive:
            return list(archives.KINDS.values())
        if isinstance(model, type) and issubclass(model, BaseModel):
            return [model]
    return []


def section_for(field: FieldInfo, values: object) -> type[BaseModel] | None:
    """Return the model class that these values of a section or of an item are checked by."""
    types = _types(field)
    if isinstance(values, Mapping) and Destination in types:
        return destinations.class_of(values)
    if isinstance(values, Mapping) and Archive in types:
        return archives.class_of(values)
    sections = sections_of(field)
    return sections[0] if sections else None


def is_secret(field: FieldInfo) -> bool:
    """Tell whether a key's value is a secret, which nothing may print."""
    return SecretStr in _types(field)


def _types(field: FieldInfo) -> list[Any]:
    """List a key's type and those that it is made of, without what only annotates them."""
    return [
        get_args(candidate)[0] if get_origin(candidate) is Annotated else candidate
        for candidate in (field.annotation, *get_args(field.annotation))
    ]
