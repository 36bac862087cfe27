"""`hilum bundle compare`: how a bundle in shadow agrees with the active one."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from commands.plain_table import plain_table
from commands.roles import opened
from db import shadows
from settings import Settings


def compare(
    settings: Settings, since: datetime | None, until: datetime | None, films: int
) -> dict[str, Any]:
    """Return the comparison as plain data, with the films that differ most.

    `since` and `until` are about when the reading in shadow was recorded.
    """
    with opened(settings) as (database, _), database.read() as session:
        pairs = shadows.compare(session, since=since, until=until)
        refused = shadows.refused(session, since=since, until=until)
        differences = shadows.differences(session, limit=films, since=since, until=until)
    return {
        "comparisons": [
            {
                **asdict(each),
                "first": each.first.isoformat(),
                "last": each.last.isoformat(),
                "agreement": each.agreement,
                "kappa": each.kappa,
            }
            for each in pairs
        ],
        "refused": [asdict(each) for each in refused],
        "differences": [asdict(each) for each in differences],
    }


def print_comparison(found: dict[str, Any], console: Console) -> None:
    """Print a comparison for people."""
    if not found["comparisons"] and not found["refused"]:
        console.print("Nothing was read in shadow in this time; `hilum bundle shadow` starts it.")
        return
    for pair in found["comparisons"]:
        _print_pair(pair, console)
    for row in found["refused"]:
        console.print(
            f"{row['shadow']}: of the films without a reading by the active bundle it refused"
            f" {row['both']} too and read {row['active_only']}.",
            highlight=False,
        )
    if found["differences"]:
        console.print("\nThe films that differ most:")
        table = plain_table("study", "image", "active", "", "shadow", "", right=("image", ""))
        for row in found["differences"]:
            table.add_row(
                str(row["study_id"]),
                str(row["instance_id"]),
                Text(f"{row['active']}: {row['active_finding']}"),
                f"{row['active_probability']:.1%}",
                Text(f"{row['shadow']}: {row['shadow_finding']}"),
                f"{row['shadow_probability']:.1%}",
            )
        console.print(table)


def _print_pair(pair: dict[str, Any], console: Console) -> None:
    days = f"{pair['first'][:10]} to {pair['last'][:10]}"
    console.print(
        Text.assemble(
            (f"{pair['shadow']} in shadow of {pair['active']}", "bold"),
            f", {days}: {pair['both']} films read by both, {pair['shadow_refused']} refused and"
            f" {pair['shadow_failed']} failed in shadow alone",
        )
    )
    if not pair["both"]:
        return
    counts = ("shadow: opacity", "shadow: none")
    table = plain_table("", *counts, right=counts)
    table.add_row("active: opacity", str(pair["both_positive"]), str(pair["active_only"]))
    table.add_row("active: none", str(pair["shadow_only"]), str(pair["both_negative"]))
    console.print(table)
    kappa = "not defined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
    console.print(
        f"The same finding in {pair['agreement']:.1%} (Cohen's kappa {kappa}). Probability of"
        f" pneumonia, shadow less active: mean {pair['mean_difference'] * 100:+.1f} points, mean"
        f" size {pair['mean_absolute_difference'] * 100:.1f}, largest"
        f" {pair['largest_difference'] * 100:.1f}.\n",
        highlight=False,
    )
