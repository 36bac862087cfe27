"""A form for any table of the configuration, made from its model; and back from what is sent."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from starlette.datastructures import FormData

from settings.destinations.imaging import ImagingProfile
from settings.layers import AS_FILE
from settings.secrets import is_elsewhere
from settings.shape import is_secret, sections_of

WHERE, WHAT, TLS = "Who and where", "What it gets", "TLS"
_FIXED = ("kind",)
_PROFILE = {*ImagingProfile.model_fields, "objects", "sources", "results", "return_results"}


class Shape(StrEnum):
    """How a value is entered."""

    TEXT = "text"
    NUMBER = "number"
    CHECK = "check"
    CHOICE = "choice"
    CHOICES = "choices"
    LIST = "list"
    SECRET = "secret"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form: its dotted key, how it is entered, what it means, what stands in it.

    `value` is text, or the choices that are taken. `kept`: a secret of the file stands there.
    """

    key: str
    shape: Shape
    help: str
    value: str | tuple[str, ...]
    options: tuple[str, ...] = ()
    required: bool = False
    kept: bool = False

    @property
    def label(self) -> str:
        """The key without its tables, in words."""
        return self.key.rpartition(".")[2].replace("_", " ")


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that belong together."""

    name: str
    fields: tuple[Field, ...]


def groups(
    model: type[BaseModel], item: BaseModel | None, given: Mapping[str, Any] | None = None
) -> list[Group]:
    """Return the fields of a model: with the values of `item`, or with those that were `given`."""
    found: dict[str, list[Field]] = {WHERE: [], WHAT: [], TLS: []}
    for each in _fields(model, item, given):
        table = each.key.rpartition(".")[0]
        found[TLS if table else WHAT if each.key in _PROFILE else WHERE].append(each)
    return [Group(name, tuple(fields)) for name, fields in found.items() if fields]


def values(model: type[BaseModel], form: FormData, prefix: str = "") -> dict[str, Any]:
    """Return what a form sends, nested; what is left empty is left out."""
    found: dict[str, Any] = {}
    for key, field in model.model_fields.items():
        name = f"{prefix}{key}"
        if inner := sections_of(field):
            if table := values(inner[0], form, f"{name}."):
                found[key] = table
            continue
        sent = [each.strip() for each in form.getlist(name) if isinstance(each, str)]
        shape, _ = _shape(field)
        if shape is Shape.CHECK:
            if (bool(sent)) != field.default:
                found[key] = bool(sent)
        elif shape is Shape.CHOICES:
            if sent or field.default:
                found[key] = sent
        elif shape is Shape.LIST:
            listed = [part.strip() for part in ",".join(sent).split(",") if part.strip()]
            if listed or field.default:
                found[key] = listed
        elif shape is Shape.SECRET and not any(sent) and form.get(f"{name}.kept"):
            found[key] = AS_FILE
        elif any(sent):
            found[key] = sent[0]
        elif sent and shape is Shape.TEXT and isinstance(field.default, str):
            found[key] = ""
    return found


def _fields(
    model: type[BaseModel],
    item: BaseModel | None,
    given: Mapping[str, Any] | None,
    prefix: str = "",
) -> Iterator[Field]:
    for key, field in model.model_fields.items():
        if key in _FIXED:
            continue
        value = getattr(item, key, None) if item is not None else None
        if inner := sections_of(field):
            inside = None if given is None else given.get(key, {})
            default = field.default if item is None else value
            yield from _fields(inner[0], default, inside, f"{prefix}{key}.")
            continue
        if item is None:
            value = None if field.is_required() else field.default
        shape, options = _shape(field)
        if given is not None:
            value = given.get(key, field.default if shape is Shape.CHECK else None)
        plain = isinstance(value, SecretStr) and not is_elsewhere(value)
        yield Field(
            f"{prefix}{key}",
            shape,
            field.description or "",
            _text(value, shape),
            options,
            required=field.is_required(),
            kept=plain or value == AS_FILE,
        )


def _text(value: Any, shape: Shape) -> str | tuple[str, ...]:
    if isinstance(value, SecretStr):
        return value.get_secret_value() if is_elsewhere(value) else ""
    if value is None or value == AS_FILE:
        return () if shape is Shape.CHOICES else ""
    if shape is Shape.CHOICES:
        return tuple(map(str, value))
    if shape is Shape.LIST:
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else ""
    return str(value)


def _shape(field: FieldInfo) -> tuple[Shape, tuple[str, ...]]:
    """Tell how a key's value is entered, and what there is to choose from."""
    if is_secret(field):
        return Shape.SECRET, ()
    kind = field.annotation
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        if get_origin(inner) is Literal:
            return Shape.CHOICES, tuple(map(str, get_args(inner)))
        return Shape.LIST, ()
    if get_origin(kind) is Literal:
        return Shape.CHOICE, tuple(map(str, get_args(kind)))
    if kind is bool:
        return Shape.CHECK, ()
    while get_origin(kind) is not None and not isinstance(kind, type):
        kind = get_args(kind)[0]  # what only annotates it
    if kind in (int, float):
        return Shape.NUMBER, ()
    return Shape.TEXT, ()
