"""The attributes of every object that we create: type, presence, and where the value comes from."""

from __future__ import annotations

from collections.abc import Iterator

from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map
from pydicom.datadict import dictionary_description, dictionary_VR
from pydicom.tag import Tag

from docs.tables.marked import table
from docs.tables.samples import Samples, samples
from docs.tables.values import TREE, Counted, Path, at, fixed
from inference.report.carried import ATTRIBUTES, KEYWORDS
from inference.report.job import Kind
from inference.report.values import TEXT_VRS

_IODS: dict[Kind, str] = {
    "sr": "comprehensive-3d-sr",
    "sc": "secondary-capture-image",
    "gsps": "grayscale-softcopy-presentation-state",
}
"""Their names in highdicom's copy of PS3.3."""
_UPPER = {"sr": "SR", "sc": "SC", "sop": "SOP", "lut": "LUT", "voi": "VOI"}
_UIDS = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID")


def carried() -> str:
    """Return the attributes of patient and study that every object takes over from its image."""
    rows = []
    for each in ATTRIBUTES:
        rule = "always; empty where the image has no valid value" if each.required else "if valid"
        if each.identity:
            rule = "always, valid or not" if each.required else "as it came, valid or not"
        rows.append((*_named(each.keyword), rule))
    known = {each.keyword for each in ATTRIBUTES}
    sequences = [keyword for keyword in KEYWORDS if keyword not in known]
    rows += [(*_named(each), "if every item is complete") for each in sequences]
    return table(("attribute", "tag", "VR", "taken over"), rows)


def report() -> str:
    """Return the attributes of a report, without its content tree."""
    return _attributes("sr")


def overlay() -> str:
    """Return the attributes of an overlay."""
    return _attributes("sc")


def presentation_state() -> str:
    """Return the attributes of a presentation state."""
    return _attributes("gsps")


def _attributes(kind: Kind) -> str:
    made, counted = samples(), Counted()
    for dataset in made.objects(kind):
        counted.add(dataset)
    types = _types(kind)
    rows = [
        (
            module,
            ">" * (len(path) - 1) + _named(path[-1])[0],
            *_named(path[-1])[1:],
            types.get(path, "3"),
            counted.presence(path),
            _origin(kind, path, counted, made),
        )
        for module, path in _by_module(kind, counted)
    ]
    return table(("module", "attribute", "tag", "VR", "type", "presence", "value"), rows)


def _by_module(kind: Kind, counted: Counted) -> Iterator[tuple[str, Path]]:
    """Yield every attribute that is not taken over, in the order of the IOD's modules.

    What stands in a sequence follows it. The module is named at its first attribute alone.
    """
    left = [path for path in sorted(counted.values, key=_by_tags) if path[0] not in KEYWORDS]
    for entry in get_iod_module_map()[_IODS[kind]]:
        attributes = get_module_attribute_map()[entry["key"]]
        own = {each["keyword"] for each in attributes if not each["path"]}
        name = " ".join(_UPPER.get(word, word.title()) for word in entry["key"].split("-"))
        for path in [path for path in left if path[0] in own]:
            left.remove(path)
            yield name, path
            name = ""
    assert not left, f"attributes of no module of the IOD: {left}"


def _types(kind: Kind) -> dict[Path, str]:
    """Return the type of every attribute that PS3.3 knows in the modules of an IOD."""
    types: dict[Path, str] = {}
    for entry in get_iod_module_map()[_IODS[kind]]:
        for each in get_module_attribute_map()[entry["key"]]:
            types.setdefault((*each["path"], each["keyword"]), each["type"])
    return types


def _origin(kind: Kind, path: Path, counted: Counted, made: Samples) -> str:
    """Say what the value is, or which inputs it is made from."""
    if path[-1] == TREE:
        return "the content tree"
    first = at(made.usual(kind), path)
    others = {name: at(other, path) for name, other in made.with_other(kind).items()}
    inputs = [name for name, values in others.items() if set(values) != set(first)]
    if inputs == ["images"] and (copied := _copied(path[-1], first, others["images"], made)):
        return copied
    if inputs:
        return f"from {', '.join(inputs)}"
    shown = [f"`{value}`" for value in fixed(counted.values[path])]
    if len(shown) > 1 and _named(path[-1])[2] in TEXT_VRS:
        return f"such as {shown[0]}"
    return " or ".join(shown)


def _copied(keyword: str, first: list[str], other: list[str], made: Samples) -> str:
    """Name the attribute of the images that the value equals, "" where there is none."""
    for name in (keyword, *_UIDS):
        of_first, of_other = (
            {value for film in films for value in at(film, (name,))}
            for films in (made.films, made.other_films)
        )
        if set(first) <= of_first and set(other) <= of_other:
            return "as in the image" if name == keyword else f"{_named(name)[0]} of the image"
    return ""


def _by_tags(path: Path) -> list[int]:
    return [int(Tag(keyword)) for keyword in path]


def _named(keyword: str) -> tuple[str, str, str]:
    """Return name, tag and VR of an attribute (PS3.6)."""
    tag = Tag(keyword)
    return dictionary_description(tag), str(tag), dictionary_VR(tag)
