"""The import table of docs/architecture.md, held against every import in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"
NOT_INSTALLED = {"tests", "bench", "docs"}


@dataclass(frozen=True)
class Rule:
    """What a room may import: every room, or these; some only from one part of the room."""

    everything: bool
    allowed: frozenset[str]
    only_from: dict[str, list[str]]

    def allows(self, module: str, target: str) -> bool:
        """Tell whether `module` (dotted name) may import the room `target`."""
        if self.everything or target == module.split(".")[0]:
            return True
        if target not in self.allowed:
            return False
        only = self.only_from.get(target)
        parts = module.split(".")
        return only is None or parts[1:2] in [[part] for part in only]


def parse_table(markdown: str) -> dict[str, Rule]:
    """Read the table under "The house": room, what lives there, may import."""
    section = re.search(r"^## The house\n(.*?)(?=^## |\Z)", markdown, re.DOTALL | re.MULTILINE)
    assert section, "docs/architecture.md has no section 'The house'"
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.group(1).splitlines()
        if line.startswith("|")
    ]
    header, _, *body = rows
    assert header == ["room", "what lives there", "may import"], header
    rules = {row[0].strip("`"): _parse_rule(row[2]) for row in body}
    for room, rule in rules.items():
        unknown = rule.allowed - set(rules)
        assert not unknown, f"{room} may import {unknown}, which the table does not describe"
    return rules


def _parse_rule(cell: str) -> Rule:
    if cell == "every room":
        return Rule(True, frozenset(), {})
    allowed: set[str] = set()
    only_from: dict[str, list[str]] = {}
    for part in [] if cell == "-" else cell.split(","):
        match = re.fullmatch(r"\s*`?(\w+)`?(?: \((\w+(?: and \w+)*) only\))?\s*", part)
        assert match, f"cannot read {part!r} in the table"
        allowed.add(match.group(1))
        if match.group(2):
            only_from[match.group(1)] = match.group(2).split(" and ")
    return Rule(False, frozenset(allowed), only_from)


def violations(root: Path, rules: dict[str, Rule]) -> Iterator[str]:
    """Name every import below `root` that the table forbids, and every room that it leaves out."""
    for path in source_files(root):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        room = module.split(".")[0]
        if room not in rules:
            yield f"{path.relative_to(root)}: the room {room} is not in the table"
            continue
        for line, target in imports(path):
            where = f"{path.relative_to(root)}:{line}"
            if target in rules and not rules[room].allows(module, target):
                yield f"{where}: {room} imports {target}"
            if target in NOT_INSTALLED and room not in NOT_INSTALLED:
                yield f"{where}: {room} imports {target}, which is not installed with Hilum"


def source_files(root: Path) -> Iterator[Path]:
    """Yield the Python files of the rooms, not those of virtual environments and builds."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if not parts[0].startswith(".") and parts[0] not in {"build", "dist", "var", "runs"}:
            yield path


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and top-level name of each import, wherever in the file it stands.

    Relative ones are left out: Python does not let them leave their room.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, (node.module or "").split(".")[0]
        elif isinstance(node, ast.Call) and node.args and _imports_by_name(node.func):
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value.split(".")[0]


def _imports_by_name(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"import_module", "__import__"}


def test_no_import_runs_against_the_table() -> None:
    rules = parse_table(ARCHITECTURE.read_text(encoding="utf-8"))
    assert list(violations(ROOT, rules)) == []


def test_every_room_of_the_table_stands() -> None:
    rules = parse_table(ARCHITECTURE.read_text(encoding="utf-8"))
    missing = [
        room for room in rules if not (ROOT / room).is_dir() and not (ROOT / f"{room}.py").is_file()
    ]
    assert missing == []


# --- the checker itself, on a house made up for it ------------------------------------------

TABLE = """# Any

## The house
| room | what lives there | may import |
|---|---|---|
| `front` | the door | every room |
| `low` | ground | - |
| `net` | network | low |
| `brain` | thought | low, net (worker and helper only) |
| `tests` | tests | every room |

## Other
| a | b | c |
"""


@pytest.mark.parametrize(
    ("file", "code", "found"),
    [
        ("front.py", "import low, net, brain", None),
        ("low.py", "import os", None),
        ("net/a.py", "from low import x", None),
        ("net/a.py", "import net.b", None),
        ("brain/worker.py", "import net", None),
        ("brain/helper/deep.py", "import net", None),
        ("tests/test_x.py", "import brain", None),
        ("low.py", "import net", "low.py:1: low imports net"),
        ("net/a.py", "import brain.x", "net/a.py:1: net imports brain"),
        ("net/a.py", "def f():\n    from brain import x", "net/a.py:2: net imports brain"),
        ("net/a.py", "if TYPE_CHECKING:\n    import brain", "net/a.py:2: net imports brain"),
        ("net/a.py", "import importlib\nimportlib.import_module('brain.x')", "net/a.py:2"),
        ("net/deep/a.py", "from ..b import brain", None),
        ("net/__init__.py", "import brain", "net/__init__.py:1: net imports brain"),
        ("brain/pixels.py", "import net", "brain/pixels.py:1: brain imports net"),
        ("brain/report/worker.py", "import net", "brain/report/worker.py:1: brain imports net"),
        ("front.py", "import tests.peers", "which is not installed with Hilum"),
        ("attic/a.py", "", "attic/a.py: the room attic is not in the table"),
    ],
)
def test_the_checker_finds_what_is_forbidden_and_only_that(
    tmp_path: Path, file: str, code: str, found: str | None
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    result = list(violations(tmp_path, parse_table(TABLE)))
    assert len(result) == (found is not None), result
    assert found is None or found in result[0]


def test_the_checker_refuses_a_table_it_cannot_read() -> None:
    for change in (("low, net (worker and helper only)", "low and net"), ("| low |", "| cellar |")):
        with pytest.raises(AssertionError, match=r"cannot read|does not describe"):
            parse_table(TABLE.replace(*change))
