"""What is wrong with a configuration, in the words of the person who wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from settings.model import Settings
from settings.shape import is_secret, section_for, sections_of

_NEEDED = {"model_type": "a table of keys", "tuple_type": "a list"}
"""What pydantic says in words of Python."""


class SettingsError(Exception):
    """A setting is wrong; the message names the key, where it came from and what is expected."""


def explain(
    error: ValidationError, given: Mapping[str, Any], origins: Mapping[str, str]
) -> Iterator[str]:
    """Yield one sentence for each mistake: where it was made, the key, and what is wrong.

    `given` are the values that were validated, `origins` tells where each key came from.
    """
    for problem in error.errors(include_url=False):
        key = _dotted(problem["loc"])
        origin = origin_of(key, origins)
        where = f"{origin}: " if origin != "default" else ""
        if problem["type"] == "extra_forbidden":
            yield f"{where}{key}: no such key{_did_you_mean(problem['loc'], given)}"
        elif problem["type"] == "missing":
            yield f"{where}{key}: this key is needed and missing"
        elif problem["type"] == "value_error":
            yield f"{where}{key}: {problem['msg'].removeprefix('Value error, ')}"
        elif problem["type"] in _NEEDED:
            needed = _NEEDED[problem["type"]]
            json = " (a variable holds it as JSON)" if origin.startswith("HILUM_") else ""
            wrong = _shown(problem["loc"], given, problem["input"])
            yield f"{where}{key}: {needed} is needed, not {wrong}{json}"
        else:
            wrong = _shown(problem["loc"], given, problem["input"])
            yield f"{where}{key}: {problem['msg']}, not {wrong}"


def origin_of(key: str, origins: Mapping[str, str]) -> str:
    """Find the origin of a key: its own, of its item, of the item's list, or of a key inside it."""
    inside = (origin for other, origin in origins.items() if other.startswith(f"{key}."))
    item, bracket, _ = key.partition("]")
    listed = origins.get(item + bracket) or origins.get(key.split("[", 1)[0])
    return origins.get(key) or listed or next(inside, "default")


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(location: Sequence[int | str], given: Mapping[str, Any], value: object) -> str:
    """Return a wrong value as it may be printed: no secret, and no table that may hold one."""
    model = _model_at(location, given)
    name = next(part for part in reversed(location) if isinstance(part, str))
    field = model.model_fields.get(name) if model else None
    if field is not None and is_secret(field):
        return "what was given (not shown: it is a secret)"
    if isinstance(value, str | Mapping | Sequence) and (field is None or sections_of(field)):
        return "what was given (not shown: it may hold a secret)"
    return repr(value)


def _did_you_mean(location: Sequence[int | str], given: Mapping[str, Any]) -> str:
    model = _model_at(location, given)
    fields = model.model_fields if model else ()
    close = difflib.get_close_matches(str(location[-1]), fields, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _model_at(location: Sequence[int | str], given: Mapping[str, Any]) -> type[BaseModel] | None:
    """Return the model whose key `location` ends at (an index belongs to the key before it)."""
    model: type[BaseModel] = Settings
    values: Any = given
    field: FieldInfo | None = None
    last = max(index for index, part in enumerate(location) if isinstance(part, str))
    for part in location[:last]:
        values = values[part]
        if isinstance(part, str):
            field = model.model_fields[part]
        section = None if field is None else section_for(field, values)
        if section is None:
            return None
        model = section
    return model
