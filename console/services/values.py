"""The values of a peer or destination: checked by the models of the configuration, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from console.context import Context
from console.services.errors import InvalidError
from console.services.references import check_secrets, folder_of
from db.states import ConfigurationPart
from settings import Destination, Loaded, Peer, SettingsError
from settings.destinations import KINDS
from settings.layers import AS_FILE, Layer, Part, class_of, name_of, with_layers
from settings.secrets import is_elsewhere

Item = Destination | Peer

PARTS: dict[ConfigurationPart, Part] = {
    ConfigurationPart.DESTINATION: "destinations",
    ConfigurationPart.PEER: "peers",
}


def checked(
    context: Context, part: ConfigurationPart, values: Mapping[str, Any], file: Item | None
) -> Item:
    """Validate values by the models of the configuration, with the file's secrets filled in.

    `file`: the one that is changed as the file has it.

    Raises:
        InvalidError: one does not fit.
    """
    base = context.live.base.settings
    try:
        model = class_of(PARTS[part], values)
    except ValueError:
        known = ", ".join(KINDS)
        raise InvalidError({"kind": f"there is no such kind; known are {known}"}) from None
    check_secrets(folder_of(context.files.root), model, values, file)
    items = () if file is None else (file,)
    alone = Loaded(base.model_copy(update={PARTS[part]: items}), {}, None)
    name = "" if file is None else name_of(file)
    try:
        filled = with_layers(alone, [Layer(PARTS[part], name, values)])
    except SettingsError as error:
        raise InvalidError(_by_key(str(error))) from None
    found: tuple[Item, ...] = getattr(filled.settings, PARTS[part])
    return found[0]


def kept(item: Item, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is recorded of an item: what is no default, and references for secrets."""
    made = item.model_dump(mode="json", exclude_defaults=True)
    if isinstance(item, Destination):
        made |= {"kind": item.kind, "name": item.name}
    _put_references(made, values)
    return made


def values_of(item: Item) -> dict[str, Any]:
    """Return the keys of an item that are no default, as they can be given back to be changed.

    In the place of a secret stands where it is (`file:`, `env:`), or the mark that the file has it.
    """
    values = item.model_dump(mode="json", exclude_defaults=True)
    if isinstance(item, Destination):
        values = {"kind": item.kind, "name": item.name, **values}
    _name_secrets(values, item)
    return values


def _by_key(said: str) -> dict[str, str]:
    """Sort what is wrong with the one item by its keys."""
    wrong: dict[str, str] = {}
    for line in said.splitlines():
        where, _, sentence = line.removeprefix("console: ").partition(": ")
        key = where.partition("].")[2]
        wrong[key] = sentence or line
    return wrong


def _put_references(made: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in list(made.items()):
        if isinstance(value, dict):
            inner = values.get(key)
            _put_references(value, inner if isinstance(inner, Mapping) else {})
        elif value == "**********":  # how a model tells a secret
            made[key] = values[key]


def _name_secrets(values: dict[str, Any], item: BaseModel) -> None:
    for key, value in values.items():
        found = getattr(item, key)
        if isinstance(found, BaseModel):
            _name_secrets(value, found)
        elif isinstance(found, SecretStr):
            values[key] = found.get_secret_value() if is_elsewhere(found) else AS_FILE
