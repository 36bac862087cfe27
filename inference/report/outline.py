"""The content tree of a report as people read it: lines below lines, each a name and a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydicom.sr.coding import Code

import codes
from inference.report.nodes import Graphic, Node, Number, Reference, is_a
from inference.report.read import ReadReport, without_subject


@dataclass(frozen=True, slots=True)
class Line:
    """One content item, or several that are told together; `value` is None for a container."""

    name: str
    value: str | None
    below: tuple[Line, ...]


def outline(report: ReadReport, *, patients: bool) -> tuple[Line, ...]:
    """Return what a report says; without `patients`, nothing that names patient or study.

    Images are told by their number in the report's evidence.
    """
    root = report.root if patients else without_subject(report.root)
    numbers = {
        image.sop_instance_uid: f"image {number}"
        for number, image in enumerate(report.evidence, start=1)
    }
    return tuple(_line(child, numbers) for child in root.children)


def value_text(value: object, images: Mapping[str, str]) -> str:
    """Return the value of a content item in words; `images` names instances by their UID."""
    match value:
        case Code():
            return value.meaning
        case Number():
            return _number(value)
        case Reference(_, uid, frames):
            where = images.get(uid, uid)
            return f"{where}, frame {', '.join(map(str, frames))}" if frames else where
        case Graphic():
            return _graphic(value)
        case str():
            return value
    return "no value"


def _line(node: Node, images: Mapping[str, str]) -> Line:
    name = node.name.meaning if node.name else node.value_type.lower()
    if is_a(node.name, codes.IMAGE_LIBRARY):
        count = sum(isinstance(each.value, Reference) for each in node.walk())
        return Line(name, f"{count} image{'' if count == 1 else 's'}", ())
    on = [child for child in node.children if isinstance(child.value, Reference)]
    if isinstance(node.value, Graphic) and on:
        value = f"{value_text(node.value, images)} on {value_text(on[0].value, images)}"
        below: Iterator[Node] = (child for child in node.children if child is not on[0])
    else:
        value, below = value_text(node.value, images), iter(node.children)
    lines = tuple(_line(child, images) for child in below)
    return Line(name, None if node.value_type == "CONTAINER" else value, lines)


def _number(number: Number) -> str:
    if number.value is None:
        return number.qualifier.meaning if number.qualifier else "no value"
    unit = number.unit.value if number.unit else ""
    return f"{number.value:g} {'' if unit == '1' else unit.strip('{}')}".rstrip()


def _graphic(graphic: Graphic) -> str:
    """Return the kind of a graphic and the corners of what encloses its points."""
    kind = graphic.graphic_type.lower()
    if not graphic.points:
        return f"{kind} without points"
    axes = list(zip(*graphic.points, strict=True))
    low, high = _point(map(min, axes)), _point(map(max, axes))
    return f"{kind} at {low}" if low == high else f"{kind} from {low} to {high}"


def _point(point: Iterable[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in point)})"
