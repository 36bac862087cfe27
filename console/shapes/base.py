"""What every shape has in common."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text on one line: no control characters, which no field of ours has and PostgreSQL refuses."""
Id = Annotated[int, Field(ge=1, le=2**63 - 1, examples=[12])]
"""A number that the database gives."""


def _written(value: object) -> object:
    """Refuse what is no RFC 3339 text: a bare number would be taken for seconds since 1970."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d{2}-\d{2}[Tt ]", value):
        raise ValueError("a time is written like 2024-03-01T12:00:00Z")
    return value


def _of_our_times(value: datetime) -> datetime:
    """Refuse years that cannot be brought to UTC."""
    if not 1900 <= value.year < 9999:
        raise ValueError("a time lies in the years from 1900 to 9998")
    return value


Moment = AwareDatetime
"""A time of an answer, in UTC."""
When = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_of_our_times)]
"""A time that is asked for, with its zone."""

T = TypeVar("T")


class Said(BaseModel):
    """Something that the API says. What a newer one says beyond that is passed over."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Asked(BaseModel):
    """Something that the API takes. A field that it does not know is refused, and not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(Said, Generic[T]):
    """A part of a list, and where it goes on."""

    items: list[T]
    next: str | None = Field(
        None,
        description="The cursor of the next page, to be given back as it is; null at the end.",
        examples=["eyJhZnRlciI6WzEyXX0"],
    )


class Problem(Said):
    """An error (RFC 9457)."""

    type: str = Field("about:blank", description="A URI of the kind of error.")
    title: str = Field(description="The kind of error in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str | None = Field(
        None, description="What is wrong this time.", examples=["There is no study 12."]
    )
    errors: list[Wrong] | None = Field(
        None, description="Each part of the request that is not as it must be."
    )


class Wrong(Said):
    """A part of a request that is not as it must be."""

    where: str = Field(description="query, path, header or body.", examples=["query"])
    name: str = Field(description="Which field.", examples=["probability_min"])
    detail: str = Field(
        description="What is wrong with it.", examples=["Input should be less than or equal to 1"]
    )


Problem.model_rebuild()
