"""The exploration as one self-contained HTML page, and as Markdown beside its figures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment, StrictUndefined

from training.kaggle.claims import Claim
from training.kaggle.findings import Finding, Verdict
from training.kaggle.style import Drawing
from training.kaggle.tables import DataTable, markdown

CITATIONS = (
    "Labels: G. Shih et al., Augmenting the National Institutes of Health Chest Radiograph Dataset"
    " with Expert Annotations of Possible Pneumonia, Radiology: AI 2019. Films: X. Wang et al.,"
    " ChestX-ray8, CVPR 2017, from the NIH Clinical Center."
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    id: str
    title: str
    tables: Sequence[DataTable]
    drawings: Sequence[Drawing]


@dataclass(frozen=True, slots=True)
class Page:
    """All that is shown of one survey. `is_complete`: of the challenge's whole training set."""

    name: str
    is_complete: bool
    has_films: bool
    made: datetime
    facts: Sequence[tuple[str, str]]
    claims: Sequence[tuple[Claim, Finding]]
    sections: Sequence[Section]


def html(page: Page) -> str:
    """Write the page as one HTML file, figures inside."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    tally = [(verdict, _count(page, verdict)) for verdict in Verdict]
    return environment.from_string(_TEMPLATE).render(
        page=page, tally=tally, chip=_CHIPS, citations=CITATIONS
    )


def as_markdown(page: Page, figures: str) -> str:
    """Write the page as Markdown; its figures lie in the folder `figures` beside it."""
    lines = [f"# Exploration of {page.name}", "", _scope(page), ""]
    lines += ["| source | claim | verdict | here | remark |", "|---|---|---|---|---|"]
    for claim, finding in page.claims:
        cells = (claim.source, claim.said, finding.verdict, finding.value, finding.remark)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for section in page.sections:
        lines += ["", f"## {section.title}", ""]
        lines += [markdown(table) for table in section.tables]
        for drawing in section.drawings:
            lines += [f"![{drawing.title}]({figures}/{drawing.id}.png)", "", drawing.caption, ""]
    return "\n".join([*lines, "", CITATIONS, ""])


def _count(page: Page, verdict: Verdict) -> int:
    return sum(finding.verdict is verdict for _, finding in page.claims)


def _scope(page: Page) -> str:
    films = "its films and tables" if page.has_films else "its tables alone, without films"
    whole = "the complete training set" if page.is_complete else "a part of the training set"
    return f"This is {whole}, read from {films}."


_CHIPS = {Verdict.HOLDS: "holds", Verdict.FAILS: "fails", Verdict.UNTOLD: "untold"}

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Exploration of {{ page.name }}</title>
<style>
:root { --ink: #22303c; --muted: #5f6e7a; --line: #dfe5e9; --soft: #f5f8f9; --accent: #1f6f8b; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff;
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 1120px; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 1rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; max-width: 75ch; }
.muted, figcaption, footer { color: var(--muted); font-size: .9rem; }
nav { margin: 1rem 0 0; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; font-size: .92rem; }
a { color: var(--accent); text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }
.facts { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.6rem 0 0; padding: 0; }
.facts div { flex: 1 1 9rem; display: flex; flex-direction: column-reverse; border-radius: 6px;
  background: var(--soft); padding: .7rem .9rem; }
.facts dd { margin: 0; font-size: 1.35rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.facts dt { color: var(--muted); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  text-align: left; }
th { font-weight: 600; color: var(--muted); }
table.data td + td, table.data th + th { text-align: right; padding-left: .6rem; }
table.text td + td, table.text th + th { text-align: left; }
.chip { display: inline-block; white-space: nowrap; border-radius: 99px; padding: .05rem .6rem;
  font-size: .8rem; font-weight: 600; }
.holds { background: #e2f0e6; color: #1e6b3a; }
.fails { background: #fae4e0; color: #9a2f22; }
.untold { background: #edf0f2; color: #52606b; }
.remark { color: var(--muted); }
.claims td:nth-child(1) { width: 30%; font-weight: 550; }
.claims td:nth-child(4) { width: 42%; }
figure { margin: 1.2rem 0 2rem; }
img { max-width: 100%; height: auto; display: block; }
figcaption { margin-top: .4rem; max-width: 85ch; }
footer { margin-top: 3rem; padding-bottom: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; }
@media print { nav { display: none; } figure, tr { break-inside: avoid; } }
</style>
</head>
<body>
<header>
<h1>Exploration of {{ page.name }}</h1>
<p class="muted">{{ "The complete training set" if page.is_complete else "A part of the training set" }}
of the RSNA Pneumonia Detection Challenge, read from
{{ "its films and tables" if page.has_films else "its tables alone, without films" }}.
Made {{ page.made.strftime("%Y-%m-%d %H:%M %Z") }}.</p>
<dl class="facts">
{% for name, value in page.facts %}
<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}
</dl>
<nav aria-label="Sections"><a href="#claims">The report's observations</a>
{% for section in page.sections %}
<a href="#{{ section.id }}">{{ section.title }}</a>
{% endfor %}
</nav>
</header>
<main>
<h2 id="claims">The report's observations on this data</h2>
<p>
{% for verdict, number in tally %}
<span class="chip {{ chip[verdict] }}">{{ verdict }}: {{ number }}</span>
{% endfor %}
</p>
<p class="muted">Printed: the report says so. Assumed: what it did makes sense only if it holds.
Added: measured beside.</p>
<div class="scroll"><table class="claims">
<thead><tr><th>Claim</th><th>Source</th><th>Verdict</th><th>Here</th></tr></thead>
<tbody>
{% for claim, finding in page.claims %}
<tr><td>{{ claim.said }}</td><td>{{ claim.source }}</td>
<td><span class="chip {{ chip[finding.verdict] }}">{{ finding.verdict }}</span></td>
<td>{{ finding.value }}{% if finding.remark %}
<br><span class="remark">{{ finding.remark }}</span>{% endif %}</td></tr>
{% endfor %}
</tbody>
</table></div>
{% for section in page.sections %}
<h2 id="{{ section.id }}">{{ section.title }}</h2>
{% for drawing in section.drawings %}
<figure><h3>{{ drawing.title }}</h3>
<img alt="{{ drawing.title }}. {{ drawing.caption }}" src="data:image/png;base64,{{ drawing.png | base64 }}">
<figcaption>{{ drawing.caption }}</figcaption></figure>
{% endfor %}
{% for table in section.tables %}
<h3>{{ table.title }}</h3>
{% if table.rows %}
<div class="scroll"><table class="data {{ 'text' if table.id in ('single_valued', 'old_ages') }}">
<thead><tr>{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>
{% endif %}
{% if table.note %}<p class="muted">{{ table.note }}</p>{% endif %}
{% endfor %}
{% endfor %}
</main>
<footer>{{ citations }}</footer>
</body>
</html>
"""  # noqa: E501 - markup reads better with its own line breaks
