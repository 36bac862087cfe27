"""Tables at a terminal, without lines."""

from __future__ import annotations

from collections.abc import Collection

from rich.table import Table


def plain_table(*columns: str, right: Collection[str] = (), whole: Collection[str] = ()) -> Table:
    """Return an empty table.

    The columns named in `right` hold numbers and end at the right; those in `whole` never wrap.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(
            column, justify="right" if column in right else "left", no_wrap=column in whole
        )
    return table
