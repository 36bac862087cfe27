"""The content tree of a report: every item that a report may hold, merged from many reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.sr.coding import Code

import codes
from docs.tables.marked import table
from docs.tables.samples import samples
from inference.report.nodes import Graphic, Node, Number, Reference, parse

Place = tuple[tuple[str, str, str], ...]
"""Relationship, value type and concept name of an item and of those above it, outermost first."""

_KNOWN = {each for each in vars(codes).values() if isinstance(each, Code)}
_LONGEST_SHOWN = 40


def tree() -> str:
    """Return the tree as PS3.16 writes templates: nesting, relationship, type, name, number."""
    made = samples()
    merged = _Merged()
    for report in made.objects("sr"):
        merged.add(parse(report))
    first = _values(parse(made.usual("sr")))
    others = {name: _values(parse(each)) for name, each in made.with_other("sr").items()}
    rows = (_row(place, merged, first, others) for place in merged.values)
    return table(("NL", "relationship", "VT", "concept name", "VM", "value"), rows)


def _row(
    place: Place,
    merged: _Merged,
    first: Mapping[Place, list[str]],
    others: Mapping[str, Mapping[Place, list[str]]],
) -> tuple[str, ...]:
    relation, value_type, concept = place[-1]
    shown = " / ".join(merged.values[place])
    values = set(first.get(place, ()))
    inputs = [name for name, other in others.items() if set(other.get(place, ())) != values]
    if value_type in ("TEXT", "UIDREF", "NUM"):
        origin = f"from {', '.join(inputs)}" if inputs else ""
        shown = ", ".join(filter(None, (shown, origin)))
    return ">" * (len(place) - 1), relation, value_type, concept, merged.multiplicity(place), shown


@dataclass
class _Merged:
    """The items of many trees by their places: how many below one parent, and their values."""

    values: dict[Place, dict[str, None]] = field(default_factory=dict)
    counts: dict[Place, list[int]] = field(default_factory=dict)
    parents: dict[Place, int] = field(default_factory=dict)

    def add(self, root: Node) -> None:
        """Count the items of a report."""
        place: Place = (_step(root),)
        self._note(place, [root])
        self._add(root, place)

    def _add(self, node: Node, place: Place) -> None:
        self.parents[place] = self.parents.get(place, 0) + 1
        siblings: dict[Place, list[Node]] = {}
        for child in node.children:
            siblings.setdefault((*place, _step(child)), []).append(child)
        for below, nodes in siblings.items():
            self._note(below, nodes)
            for each in nodes:
                self._add(each, below)

    def _note(self, place: Place, nodes: Sequence[Node]) -> None:
        self.counts.setdefault(place, []).append(len(nodes))
        self.values.setdefault(place, {}).update(dict.fromkeys(map(_value, nodes)))

    def multiplicity(self, place: Place) -> str:
        """Return how many such items stand below one parent, as PS3.16 writes it."""
        counts, parents = self.counts[place], self.parents.get(place[:-1], len(self.counts[place]))
        least = min(counts) if len(counts) == parents else 0
        most = "n" if max(counts) > 1 else "1"
        return most if str(least) == most else f"{least}-{most}"


def _values(root: Node) -> dict[Place, list[str]]:
    """Return the plain values of one tree by their places."""
    found: dict[Place, list[str]] = {}
    for place, node in _placed(root, ()):
        found.setdefault(place, []).append(str(node.value))
    return found


def _placed(node: Node, above: Place) -> Iterator[tuple[Place, Node]]:
    place = (*above, _step(node))
    yield place, node
    for child in node.children:
        yield from _placed(child, place)


def _step(node: Node) -> tuple[str, str, str]:
    return node.relation, node.value_type, _named(node.name) if node.name else ""


def _value(node: Node) -> str:
    """Return how a value is shown: what varies without end by its kind alone."""
    match node.value:
        case Code() as code:
            return _named(code) if code in _KNOWN else "the code of the images"
        case Number(unit=unit):
            return f"in {unit.value}" if unit else ""
        case Reference():
            return "an image of the study"
        case Graphic(graphic_type=kind, points=points):
            closed = "closed, " if points[0] == points[-1] else ""
            return f"{kind}, {closed}{len(points)} points"
        case None:
            return f"TID {node.template}" if node.template else ""
    return ""


def _named(code: Code) -> str:
    return f"({code.value}, {code.scheme_designator}, {code.meaning})"
