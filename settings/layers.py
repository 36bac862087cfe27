"""Peers and destinations that were changed in the console, laid over what the file says of them.

Later sources win, as everywhere: where a variable or the command line lists peers or destinations,
that list holds, and nothing that was changed in the console does.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, SecretStr, ValidationError

from settings import destinations
from settings.destinations import Destination
from settings.errors import SettingsError, explain
from settings.loading import Loaded
from settings.model import Settings
from settings.peers import Peer
from settings.secrets import is_elsewhere

CONSOLE = "console"
"""The origin of what was changed there."""
AS_FILE = "@file"
"""Stands in the place of a secret: it is the one that the file has in this place."""

Part = Literal["destinations", "peers"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One peer or destination as it was changed; `values` None: it was removed."""

    part: Part
    name: str
    values: Mapping[str, Any] | None


def name_of(item: Destination | Peer) -> str:
    """Return what tells a peer or destination from others: `AE@network`, or its name."""
    return f"{item.ae_title}@{item.address}" if isinstance(item, Peer) else item.name


def class_of(part: Part, values: Mapping[str, Any]) -> type[Destination] | type[Peer]:
    """Return the class that the values of a peer or destination are checked by.

    Raises:
        ValueError: there is no such kind of destination.
    """
    return Peer if part == "peers" else destinations.class_of(values)


def is_locked(loaded: Loaded, part: Part) -> str | None:
    """Return what stronger source lists a part, so that the console can change nothing of it."""
    origin = loaded.origins.get(part)
    file = None if loaded.config_file is None else str(loaded.config_file)
    return None if origin in (None, file) else origin


def with_layers(loaded: Loaded, layers: Sequence[Layer]) -> Loaded:
    """Return the configuration with what was changed in the console laid over it.

    Raises:
        SettingsError: what was changed does not fit; the message names the key.
    """
    given: dict[str, Any] = {
        key: getattr(loaded.settings, key) for key in type(loaded.settings).model_fields
    }
    origins = dict(loaded.origins)
    parts: tuple[Part, ...] = ("destinations", "peers")
    for part in parts:
        ours = {layer.name: layer.values for layer in layers if layer.part == part}
        if not ours or is_locked(loaded, part):
            continue
        items: list[Any] = []
        file = {name_of(item): item for item in given[part]}
        for name, item in file.items():
            if name not in ours:
                items.append(item)
            elif (values := ours.pop(name)) is not None:
                items.append(_filled(values, item))
        items += [_filled(values, None) for values in ours.values() if values is not None]
        given[part] = items
        for index, item in enumerate(items):
            if isinstance(item, dict):
                origins[f"{part}[{index}]"] = CONSOLE
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(explain(error, given, origins))) from None
    return replace(loaded, settings=settings, origins=origins)


def printable(item: Destination | Peer) -> dict[str, str]:
    """Return what is set of a peer or destination, by dotted key, for people: no secrets.

    Of a secret that stands elsewhere it is told where.
    """
    found = {}
    for key, (value, default) in leaves(item).items():
        if value == default and key not in ("kind", "name"):
            continue
        if isinstance(value, SecretStr):
            found[key] = value.get_secret_value() if is_elsewhere(value) else "***"
        elif isinstance(value, tuple):
            found[key] = ", ".join(map(str, value))
        else:
            found[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def leaves(model: BaseModel, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Map the dotted keys below a model to their values and defaults."""
    found: dict[str, tuple[Any, Any]] = {}
    for key, field in type(model).model_fields.items():
        value = getattr(model, key)
        if isinstance(value, BaseModel):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = (value, field.default)
    return found


def _filled(values: Mapping[str, Any], item: BaseModel | None) -> dict[str, Any]:
    """Put the file's secrets where a change says that they stay as they are.

    Where the file has none any more, the mark stays, and is no secret that anything can be read by.
    """
    made: dict[str, Any] = copy.deepcopy(dict(values))
    for table, key, path in _marks(made):
        found: Any = item
        for part in path:
            found = getattr(found, part, None)
        if isinstance(found, SecretStr):
            table[key] = found
        else:
            del table[key]
    return made


def _marks(
    table: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[dict[str, Any], str, tuple[str, ...]]]:
    for key, value in list(table.items()):
        if isinstance(value, dict):
            yield from _marks(value, (*path, key))
        elif value == AS_FILE:
            yield table, key, (*path, key)
