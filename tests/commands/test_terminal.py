"""No text of a peer is obeyed by the terminal that it is shown at."""

from __future__ import annotations

from io import StringIO

from rich.text import Text

from commands.plain_table import plain_table
from commands.terminal import Terminal


def printed(*what: object) -> str:
    file = StringIO()
    console = Terminal(file=file, width=80, force_terminal=True)
    for each in what:
        console.print(each, markup=False, highlight=False)
    return file.getvalue()


def test_control_characters_are_left_out() -> None:
    table = plain_table("patient")
    table.add_row(Text("\x1b[2Jgone"))
    text = printed(Text("a\x1b]0;title\x07"), "b\x9b31m\x7f", table)
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text
    assert "\x9b" not in text
    assert "[2Jgone" in text
    assert "a]0;title" in text


def test_colours_and_lines_of_our_own_stay() -> None:
    assert printed(Text("red\nnext\tcolumn", style="red")).startswith("\x1b[31mred")
    assert printed("one\ntwo") == "one\ntwo\n"
