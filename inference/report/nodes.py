"""The content tree of any SR document as plain data. Whatever is missing or odd is let pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference import elements


@dataclass(frozen=True, slots=True)
class Number:
    """A measured value; without one, `qualifier` says why (PS3.3 C.18.1)."""

    value: float | None
    unit: Code | None
    qualifier: Code | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to an instance (PS3.3 C.18.3); `frames` is empty where it is to all of them."""

    sop_class_uid: str
    sop_instance_uid: str
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graphic:
    """Points (column, row) on an image, or (x, y, z) in mm in a frame of reference.

    PS3.3 C.18.6 and C.18.9. `frame_of_reference_uid` is None for points on an image.
    """

    graphic_type: str
    points: tuple[tuple[float, ...], ...]
    frame_of_reference_uid: str | None


Value = Code | Number | Reference | Graphic | str | None


@dataclass(frozen=True, slots=True)
class Node:
    """One content item (PS3.3 C.17.3): relationship to its parent, name, value, children.

    `value` is a Code for CODE, a Number for NUM, a Reference for IMAGE, WAVEFORM and COMPOSITE, a
    Graphic for SCOORD and SCOORD3D, None for CONTAINER, and a text for every other value type.
    """

    relation: str
    value_type: str
    name: Code | None
    value: Value
    template: str
    children: tuple[Node, ...]

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def named(self, *names: Code) -> Iterator[Node]:
        """Yield the children that carry one of `names`."""
        return (child for child in self.children if is_a(child.name, *names))

    def child(self, name: Code) -> Node | None:
        """Return the first child of this name."""
        return next(self.named(name), None)

    def code(self, name: Code) -> Code | None:
        """Return the coded value of the first child of this name."""
        found = self.child(name)
        return found.value if found is not None and isinstance(found.value, Code) else None

    def text(self, name: Code) -> str | None:
        """Return the textual value of the first child of this name."""
        found = self.child(name)
        return found.value if found is not None and isinstance(found.value, str) else None


def is_a(found: Code | None, *wanted: Code) -> bool:
    """Tell whether a concept is one of `wanted`, by code and scheme; SNOMED's old ones count too.

    pydicom cannot compare a Code with None.
    """
    return found is not None and any(found == code for code in wanted)


def parse(item: Dataset) -> Node:
    """Return a content item, or the document that is the root one, with all below it."""
    value_type = elements.text(item, "ValueType")
    templates = elements.items(item, "ContentTemplateSequence")
    return Node(
        relation=elements.text(item, "RelationshipType"),
        value_type=value_type,
        name=concept(item, "ConceptNameCodeSequence"),
        value=_value(item, value_type),
        template=elements.text(templates[0], "TemplateIdentifier") if templates else "",
        children=tuple(parse(child) for child in elements.items(item, "ContentSequence")),
    )


def concept(item: Dataset, keyword: str) -> Code | None:
    """Return the first coded concept of a sequence (PS3.3 8.8), short, long or by URN."""
    for coded in elements.items(item, keyword):
        for value in ("CodeValue", "LongCodeValue", "URNCodeValue"):
            if text := elements.text(coded, value):
                scheme = elements.text(coded, "CodingSchemeDesignator")
                scheme = "SRT" if scheme in _OLD_SNOMED else scheme
                return Code(text, scheme, elements.text(coded, "CodeMeaning") or text)
    return None


def reference(item: Dataset) -> Reference:
    """Return an item of a Referenced SOP Sequence."""
    return Reference(
        elements.text(item, "ReferencedSOPClassUID"),
        elements.text(item, "ReferencedSOPInstanceUID"),
        tuple(int(number) for number in elements.numbers(item, "ReferencedFrameNumber")),
    )


def _value(item: Dataset, value_type: str) -> Value:
    match value_type:
        case "CONTAINER":
            return None
        case "CODE":
            return concept(item, "ConceptCodeSequence")
        case "NUM":
            return _number(item)
        case "IMAGE" | "WAVEFORM" | "COMPOSITE":
            references = elements.items(item, "ReferencedSOPSequence")
            return reference(references[0]) if references else None
        case "SCOORD":
            return _graphic(item, 2)
        case "SCOORD3D":
            return _graphic(item, 3)
        case "":
            places = elements.numbers(item, "ReferencedContentItemIdentifier")
            return f"see item {'.'.join(f'{place:g}' for place in places)}" if places else None
    return elements.text(item, _TEXTS.get(value_type, "TextValue")) or None


def _number(item: Dataset) -> Number:
    measured = elements.items(item, "MeasuredValueSequence")
    qualifier = concept(item, "NumericValueQualifierCodeSequence")
    if not measured:
        return Number(None, None, qualifier)
    value = elements.number(measured[0], "FloatingPointValue")
    if value is None:
        value = elements.number(measured[0], "NumericValue")
    return Number(value, concept(measured[0], "MeasurementUnitsCodeSequence"), qualifier)


def _graphic(item: Dataset, dimensions: int) -> Graphic:
    flat = iter(elements.numbers(item, "GraphicData"))
    points = tuple(zip(*[flat] * dimensions, strict=False))
    frame = elements.text(item, "ReferencedFrameOfReferenceUID") if dimensions == 3 else None
    return Graphic(elements.text(item, "GraphicType"), points, frame)


_OLD_SNOMED = ("SNM3", "99SDM")
"""What SRT was called before (PS3.16 8.1)."""

_TEXTS = {
    "UIDREF": "UID",
    "PNAME": "PersonName",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
}
