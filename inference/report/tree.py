"""SR content items as pydicom datasets (PS3.3 C.17.3): one function per value type, no meaning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

CONTAINS = "CONTAINS"
HAS_OBS_CONTEXT = "HAS OBS CONTEXT"
HAS_ACQ_CONTEXT = "HAS ACQ CONTEXT"
HAS_CONCEPT_MOD = "HAS CONCEPT MOD"
HAS_PROPERTIES = "HAS PROPERTIES"
SELECTED_FROM = "SELECTED FROM"


def concept(code: Code) -> Dataset:
    """Return `code` as an item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def root(title: Code, template: str, children: Sequence[Dataset]) -> Dataset:
    """Return the attributes of the root container, which stand at the top of the document."""
    item = _item("CONTAINER", title, None, children)
    item.ContinuityOfContent = "SEPARATE"
    identification = Dataset()
    identification.MappingResource = "DCMR"
    identification.TemplateIdentifier = template
    item.ContentTemplateSequence = [identification]
    return item


def container(name: Code, children: Sequence[Dataset], *, template: str | None = None) -> Dataset:
    """Return a CONTAINER whose items stand for themselves (SEPARATE)."""
    item = _item("CONTAINER", name, CONTAINS, children)
    item.ContinuityOfContent = "SEPARATE"
    if template is not None:
        identification = Dataset()
        identification.MappingResource = "DCMR"
        identification.TemplateIdentifier = template
        item.ContentTemplateSequence = [identification]
    return item


def code(name: Code, value: Code, relation: str, children: Sequence[Dataset] = ()) -> Dataset:
    """Return a CODE item."""
    item = _item("CODE", name, relation, children)
    item.ConceptCodeSequence = [concept(value)]
    return item


def text(name: Code, value: str, relation: str) -> Dataset:
    """Return a TEXT item."""
    item = _item("TEXT", name, relation)
    item.TextValue = value
    return item


def uid(name: Code, value: str, relation: str) -> Dataset:
    """Return a UIDREF item."""
    item = _item("UIDREF", name, relation)
    item.UID = value
    return item


def number(
    name: Code, value: float, unit: Code, relation: str, children: Sequence[Dataset] = ()
) -> Dataset:
    """Return a NUM item. `value` must have at most 16 characters as a decimal string."""
    item = _item("NUM", name, relation, children)
    measured = Dataset()
    measured.NumericValue = repr(value)
    if isinstance(value, float):
        measured.FloatingPointValue = value
    measured.MeasurementUnitsCodeSequence = [concept(unit)]
    item.MeasuredValueSequence = [measured]
    return item


def image(
    name: Code,
    sop_class_uid: str,
    sop_instance_uid: str,
    relation: str,
    children: Sequence[Dataset] = (),
) -> Dataset:
    """Return an IMAGE item that refers to one instance."""
    item = _item("IMAGE", name, relation, children)
    item.ReferencedSOPSequence = [reference(sop_class_uid, sop_instance_uid)]
    return item


def polyline(
    name: Code, points: Iterable[tuple[float, float]], relation: str, children: Sequence[Dataset]
) -> Dataset:
    """Return a SCOORD of (column, row) points: 0, 0 is the top left corner of the image."""
    item = _item("SCOORD", name, relation, children)
    item.GraphicType = "POLYLINE"
    item.GraphicData = [value for point in points for value in point]
    return item


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return a SOP Instance Reference (PS3.3 10.8)."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def _item(
    value_type: str, name: Code, relation: str | None, children: Sequence[Dataset] = ()
) -> Dataset:
    item = Dataset()
    item.ValueType = value_type
    item.ConceptNameCodeSequence = [concept(name)]
    if relation is not None:
        item.RelationshipType = relation
    if children:
        item.ContentSequence = list(children)
    return item
