"""What the documents tell to type, to configure and to read is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from hilum import app
from settings import Settings
from tests.peers import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^ *(?:\.venv/bin/)?hilum (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#([^)]*))?\)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _blocks(document: Path) -> Iterator[tuple[str, str]]:
    return (match.groups() for match in _BLOCK.finditer(document.read_text(encoding="utf-8")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    targets = [target for target, _ in _LINK.findall(document.read_text(encoding="utf-8"))]
    assert [each for each in targets if not (document.parent / each).exists()] == []


def test_every_document_is_found_from_the_first_one() -> None:
    found, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        found.add(document)
        for target, _ in _LINK.findall(document.read_text(encoding="utf-8")):
            path = (document.parent / target).resolve()
            if path.suffix == ".md" and path not in found:
                waiting.append(path)
    assert [_name(each) for each in DOCUMENTS if each not in found] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_command_and_option_that_is_shown_is_there(document: Path) -> None:
    for _, body in _blocks(document):
        for line in _COMMAND.findall(body):
            _check(typer.main.get_command(app), shlex.split(line, comments=True), line)


def _check(command: Any, words: list[str], line: str) -> None:
    options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    commands = getattr(command, "commands", {})
    if commands and words[0].startswith("--"):  # as in `hilum --set KEY=VALUE serve`
        assert words[0] in options, line
        _check(command, words[2:], line)
    elif commands:
        assert words[0] in commands, line
        _check(commands[words[0]], words[1:], line)
    else:
        unknown = [each for each in words if each.startswith("--") and each not in options]
        assert not unknown, f"{unknown} in: hilum {line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_configuration_that_is_shown_is_accepted(document: Path) -> None:
    for language, body in _blocks(document):
        values = tomllib.loads(body) if language == "toml" else {}
        if set(values) <= set(Settings.model_fields):  # not an experiment of the training
            Settings(**values)


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 10
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).exists() or f"def {name}(" not in (ROOT / file).read_text()
    ]
    assert missing == []
