"""What keys are made of: the types of their values, and the base of every table."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator


def _ae_title(value: str) -> str:
    """Check an AE title: PS3.5 6.2, 1 to 16 characters, no backslash or control characters."""
    text = value.strip(" ")
    if not 1 <= len(text) <= 16 or "\\" in text or not text.isascii() or not text.isprintable():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return text


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("an IP address or a network such as 10.0.0.0/24 is needed") from None
    return value


def _database_url(value: SecretStr) -> SecretStr:
    """Check the kind of database; the message never shows the URL, which may hold a password."""
    if not value.get_secret_value().startswith(("sqlite:", "postgresql+psycopg:")):
        raise ValueError("a URL that starts with sqlite: or postgresql+psycopg: is needed")
    return value


AETitle = Annotated[str, AfterValidator(_ae_title)]
DatabaseURL = Annotated[SecretStr, AfterValidator(_database_url)]
Network = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=1, le=65535)]
ObjectKind = Literal["sr", "sc", "gsps"]
DocumentKind = Literal["json"]


def is_this_machine(host: str) -> bool:
    """Tell whether a host name or address is this machine's own, which no other one reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def drop_unset(model: type[BaseModel], values: object) -> object:
    """Leave out the keys that may be unset and are empty, so that "" means unset in any source."""
    if not isinstance(values, Mapping):
        return values
    unset = {name for name, field in model.model_fields.items() if field.default is None}
    return {key: value for key, value in values.items() if value != "" or key not in unset}


class Section(BaseModel):
    """A table of the configuration: frozen, without keys that it does not name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: object) -> object:
        return drop_unset(cls, values)
