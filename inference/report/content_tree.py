"""Whether a report's content items are what PS3.3 C.17.3 and A.35.3 allow."""

from __future__ import annotations

from inference.report import stored
from inference.report.conform import check_rules
from inference.report.header import ReportError
from inference.report.iods import CODE, REFERENCE, Parsed, Rule, rule

_RELATIONSHIP, _VALUE_TYPE = stored.tag("RelationshipType"), stored.tag("ValueType")
_CONTENT = stored.tag("ContentSequence")

_DESCRIPTIONS = frozenset({"TEXT", "CODE", "NUM", "DATETIME", "DATE", "TIME", "UIDREF", "PNAME"})
_OBJECTS = frozenset({"SCOORD", "TCOORD", "COMPOSITE", "IMAGE", "WAVEFORM"})
_ANY = _DESCRIPTIONS | _OBJECTS | {"CONTAINER"}
_ALLOWED = {
    "CONTAINS": ({"CONTAINER"}, _ANY),
    "HAS OBS CONTEXT": ({"CONTAINER"}, _DESCRIPTIONS | {"COMPOSITE"}),
    "HAS ACQ CONTEXT": (
        {"CONTAINER", "IMAGE", "WAVEFORM", "COMPOSITE", "NUM"},
        _DESCRIPTIONS | {"CONTAINER"},
    ),
    "HAS CONCEPT MOD": (_ANY, {"TEXT", "CODE"}),
    "HAS PROPERTIES": ({"TEXT", "CODE", "NUM"}, _ANY),
    "INFERRED FROM": ({"TEXT", "CODE", "NUM"}, _ANY),
    "SELECTED FROM": ({"SCOORD", "TCOORD"}, {"IMAGE", "WAVEFORM", "SCOORD"}),
}
"""Relationship -> value types of its source and of its target: Table A.35.3-2, of Comprehensive SR,
the narrower of the two classes that a report is sent as."""
_NAME = rule("ConceptNameCodeSequence", 1, items=CODE)
_VALUES: dict[str, tuple[Rule, ...]] = {  # C.18
    "CONTAINER": (_NAME, rule("ContinuityOfContent", 1, "SEPARATE", "CONTINUOUS")),
    "CODE": (_NAME, rule("ConceptCodeSequence", 1, items=CODE)),
    "TEXT": (_NAME, rule("TextValue", 1)),
    "UIDREF": (_NAME, rule("UID", 1)),
    "NUM": (
        _NAME,
        rule(
            "MeasuredValueSequence",
            1,
            items=(
                rule("NumericValue", 1),
                rule("MeasurementUnitsCodeSequence", 1, items=CODE),
            ),
        ),
    ),
    "IMAGE": (rule("ReferencedSOPSequence", 1, items=REFERENCE),),
    "SCOORD": (
        _NAME,
        rule("GraphicType", 1, "POINT", "MULTIPOINT", "POLYLINE", "CIRCLE", "ELLIPSE"),
        rule("GraphicData", 1),
    ),
}
"""What a content item of each value type that we write must hold."""


def check_tree(document: Parsed) -> None:
    """Check the content items of a parsed report: relationships, value types and values.

    Raises:
        ReportError: one of them may not stand where it does, or lacks something.
    """
    _check_children(document, "CONTAINER")


def _check_children(parent: Parsed, source: str) -> None:
    value = parent[_CONTENT][1] if _CONTENT in parent else []
    for item in value if isinstance(value, list) else []:
        _check_item(item, source)


def _check_item(item: Parsed, source: str) -> None:
    relationship, target = _term(item, _RELATIONSHIP), _term(item, _VALUE_TYPE)
    if target not in _VALUES:
        raise ReportError("the report has a content item without a value type that it may have")
    sources, targets = _ALLOWED.get(relationship, (frozenset(), frozenset()))
    if source not in sources or target not in targets:
        raise ReportError(
            f"the report has a {target} below a {source} by a relationship that is not allowed"
        )
    check_rules(item, _VALUES[target], f"a {target} of the report")
    _check_children(item, target)


def _term(item: Parsed, tag: int) -> str:
    value = item[tag][1] if tag in item else b""
    return value.decode("latin-1") if isinstance(value, bytes) else ""
