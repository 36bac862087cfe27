"""Tables of which there are several kinds, told apart by their key `kind`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from settings.fields import Section

T = TypeVar("T", bound=Section)


def class_among(kinds: Mapping[str, type[T]], what: str, values: Mapping[str, object]) -> type[T]:
    """Return the class that a table is checked by; without the key it is of the first kind.

    Raises:
        ValueError: there is no such kind of `what`.
    """
    kind = values.get("kind", next(iter(kinds)))
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"there is no kind {kind!r} of {what}; known are {', '.join(kinds)}")
    return kinds[kind]
