"""Peers and destinations as they are configured, and what was changed of them here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from console.shapes.administration import Reason
from console.shapes.base import Asked, Id, Moment, Said

Part = Literal["destinations", "peers"]

_DEEPEST = 8
_EXAMPLE = {"kind": "dicom", "name": "pacs", "ae_title": "PACS", "host": "10.0.0.1", "port": 104}


def _plain(value: Any, depth: int = 0) -> Any:
    """Refuse what no file could hold: control characters, and sections within sections for ever."""
    if depth > _DEEPEST:
        raise ValueError("sections do not nest that deep")
    if isinstance(value, str) and any(each < " " or each == "\x7f" for each in value):
        raise ValueError("a text has no control characters")
    if isinstance(value, dict):
        for key, inner in value.items():
            _plain(key, depth + 1)
            _plain(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _plain(inner, depth + 1)
    return value


Values = Annotated[
    dict[str, Any],
    AfterValidator(_plain),
    Field(
        description="Its keys as in hilum.toml, sections nested; what is left out has its default."
        " A secret is `file:PATH` or `env:NAME`, or `@file`: as hilum.toml has it.",
        examples=[_EXAMPLE],
    ),
]


class Configured(Said):
    """A peer or destination as it is configured."""

    part: Part = Field(examples=["destinations"])
    name: str = Field(examples=["pacs"])
    version: int = Field(description="Its latest change here; 0: none.", examples=[3])
    changed: bool = Field(description="Whether it is otherwise here than in hilum.toml.")
    in_file: bool = Field(description="Whether hilum.toml has it.")
    values: dict[str, Any] | None = Field(
        description="Its keys that are no default; no secrets. null: it was removed here.",
        examples=[_EXAMPLE],
    )


class NewConfigured(Asked):
    """A peer or destination as it shall be, whole."""

    values: Values
    reason: Reason = ""


class ChangedKey(Said):
    """A key that was changed."""

    key: str = Field(examples=["port"])
    was: str | None = Field(description="null: it was not set.", examples=["104"])
    now: str | None = Field(description="null: it is not set any more.", examples=["11112"])


class Change(Said):
    """A change of a peer or destination that was made here."""

    id: Id
    part: Part = Field(examples=["destinations"])
    name: str = Field(examples=["pacs"])
    kind: str = Field(description="set, removed, or as_file: hilum.toml holds.", examples=["set"])
    keys: list[ChangedKey]
    at: Moment
    by: str = Field(examples=["ada"])
    reason: str | None
    undoes: int | None = Field(description="The change that this one takes back.", examples=[2])
    may_be_undone: bool = Field(description="No later change of the same one came after it.")
