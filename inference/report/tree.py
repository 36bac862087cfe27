"""SR content items (PS3.3 C.17.3) as plain data, and their encoding. No meaning lives here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.sr.coding import Code

from inference.report import explicit

CONTAINS = "CONTAINS"
HAS_OBS_CONTEXT = "HAS OBS CONTEXT"
HAS_ACQ_CONTEXT = "HAS ACQ CONTEXT"
HAS_CONCEPT_MOD = "HAS CONCEPT MOD"
HAS_PROPERTIES = "HAS PROPERTIES"
SELECTED_FROM = "SELECTED FROM"


@dataclass(frozen=True, slots=True)
class Container:
    """Items that stand for themselves (SEPARATE), by a template of DCMR or none."""

    template: str | None = None
    value_type = "CONTAINER"


@dataclass(frozen=True, slots=True)
class Coded:
    """A concept, or an encoded item of a code sequence that was taken over from a film."""

    concept: Code | bytes
    value_type = "CODE"


@dataclass(frozen=True, slots=True)
class Text:
    """A text in ASCII."""

    text: str
    value_type = "TEXT"


@dataclass(frozen=True, slots=True)
class UidRef:
    """A UID."""

    uid: str
    value_type = "UIDREF"


@dataclass(frozen=True, slots=True)
class Number:
    """A number with at most 16 characters as a decimal string, and its unit."""

    number: int | float
    unit: Code
    value_type = "NUM"


@dataclass(frozen=True, slots=True)
class Image:
    """A reference to one image."""

    sop_class_uid: str
    sop_instance_uid: str
    value_type = "IMAGE"


@dataclass(frozen=True, slots=True)
class Polyline:
    """Points (column, row) on an image: 0, 0 is the top left corner of its top left pixel."""

    points: tuple[tuple[float, float], ...]
    value_type = "SCOORD"


Value = Container | Coded | Text | UidRef | Number | Image | Polyline


@dataclass(frozen=True, slots=True)
class Item:
    """One content item with its relationship to its parent and its children."""

    relation: str
    name: Code
    value: Value
    children: tuple[Item, ...] = ()

    def walk(self) -> Iterator[Item]:
        """Yield this item and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def encode(item: Item) -> bytes:
    """Return `item` and all below it as an item of a Content Sequence."""
    elements: explicit.Added = {
        0x0040A010: ("CS", item.relation.encode("ascii")),
        **_content(item.name, item.value, item.children),
    }
    return explicit.item(elements)


def root(title: Code, template: str, children: tuple[Item, ...]) -> explicit.Elements:
    """Return the attributes that make a document itself the root container."""
    return _content(title, Container(template), children)


def _content(name: Code, value: Value, children: tuple[Item, ...]) -> explicit.Added:
    elements = {
        0x0040A040: ("CS", value.value_type.encode("ascii")),
        0x0040A043: ("SQ", explicit.concept(name)),
        **_encode_value(value),
    }
    if children:
        elements[0x0040A730] = explicit.sequence(map(encode, children))
    return elements


def _encode_value(value: Value) -> explicit.Added:
    match value:
        case Container(template):
            return _container(template)
        case Coded(concept):
            encoded = concept if isinstance(concept, bytes) else explicit.concept(concept)
            return {0x0040A168: ("SQ", encoded)}
        case Text(text):
            return {0x0040A160: ("UT", text.encode("ascii"))}
        case UidRef(uid):
            return {0x0040A124: ("UI", uid.encode("ascii"))}
        case Number(number, unit):
            return {0x0040A300: ("SQ", _measured(number, unit))}
        case Image(sop_class_uid, sop_instance_uid):
            return {0x00081199: ("SQ", explicit.reference(sop_class_uid, sop_instance_uid))}
        case Polyline(points):
            flat = [coordinate for point in points for coordinate in point]
            return {
                0x00700022: ("FL", struct.pack(f"<{len(flat)}f", *flat)),
                0x00700023: ("CS", b"POLYLINE"),
            }


def _container(template: str | None) -> explicit.Added:
    elements = {0x0040A050: ("CS", b"SEPARATE")}
    if template is not None:
        identification = explicit.item(
            {0x00080105: ("CS", b"DCMR"), 0x0040DB00: ("CS", template.encode("ascii"))}
        )
        elements[0x0040A504] = ("SQ", identification)
    return elements


def _measured(number: int | float, unit: Code) -> bytes:
    """Return an item of the Measured Value Sequence (PS3.3 C.18.1)."""
    elements = {
        0x004008EA: ("SQ", explicit.concept(unit)),
        0x0040A30A: ("DS", repr(number).encode("ascii")),
    }
    if isinstance(number, float):
        elements[0x0040A161] = ("FD", struct.pack("<d", number))
    return explicit.item(elements)
