"""Segments of HL7 v2 messages from plain values: escaped, and no longer than they must be."""

from __future__ import annotations

import re
from collections.abc import Mapping

import hl7

Component = str | None
Field = Component | tuple[Component, ...] | list[tuple[Component, ...]]
"""A value, a tuple of components, or a list of repetitions."""

_ASCII = re.compile(r"[\x00-\x7f]+")


def add_segment(message: hl7.Message, name: str, fields: Mapping[int, Field]) -> None:
    """Append a segment with `fields` by their numbers; those without a value stay empty.

    For MSH, the fields 1 and 2, which hold the delimiters, are put in.
    """
    values = {number: _field(message, field) for number, field in fields.items()}
    filled = [number for number, value in values.items() if value]
    segment = [message.create_field([name])]
    if name == "MSH":
        _, separator, repetition, component, subcomponent = message.separators
        delimiters = component + repetition + message.esc + subcomponent
        segment += [message.create_field([separator]), message.create_field([delimiters])]
    segment += [
        message.create_field(values.get(number) or [""])
        for number in range(len(segment), max(filled, default=0) + 1)
    ]
    message.append(message.create_segment(segment))


def _field(message: hl7.Message, field: Field) -> list[hl7.Repetition]:
    repetitions: list[tuple[Component, ...]]
    if isinstance(field, list):
        repetitions = field
    else:
        repetitions = [field if isinstance(field, tuple) else (field,)]
    return [found for each in repetitions if (found := _repetition(message, each))]


def _repetition(message: hl7.Message, value: tuple[Component, ...]) -> hl7.Repetition | None:
    components = [_escape(message, each or "") for each in value]
    while components and not components[-1]:
        components.pop()
    if not components:
        return None
    return message.create_repetition([message.create_component([each]) for each in components])


def _escape(message: hl7.Message, text: str) -> str:
    """Escape delimiters and control characters; letters of the character set stay (2.7)."""
    return _ASCII.sub(lambda plain: str(message.escape(plain[0])), text)
