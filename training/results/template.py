"""The page's look: a Jinja template with its style sheet. What stands on it comes from `page`."""

from __future__ import annotations

from training.evaluation.style import HEAD

STYLE = """
:root {
  --ink: #22303c; --muted: #6b7985; --line: #e3e8ec;
  --ours: #1f6f8b; --wrong: #b4532a; --soft: #f6f8f9;
}
* { box-sizing: border-box; }
body {
  margin: 0; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 1320px; margin: 0 auto; padding: 40px 28px 80px; }
h1 { font-size: 28px; margin: 0 0 8px; letter-spacing: -.01em; }
h2 {
  font-size: 20px; margin: 52px 0 2px; padding-top: 10px; border-top: 2px solid var(--ink);
}
h3 { font-size: 16px; margin: 30px 0 2px; }
p { margin: 4px 0 8px; max-width: 92ch; }
.muted, .form { color: var(--muted); }
.form { font-size: 13.5px; margin-bottom: 12px; }
nav { margin: 18px 0 0; }
nav a { display: inline-block; margin-right: 18px; color: var(--ours); text-decoration: none; }
nav a:hover { text-decoration: underline; }
.wide { overflow-x: auto; }
table {
  border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums;
}
th {
  text-align: left; font-weight: 600; color: var(--muted); font-size: 12.5px;
  vertical-align: bottom;
}
th, td { padding: 6px 16px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.group { font-weight: 600; padding-top: 16px; border-bottom: none; }
td.whole { white-space: nowrap; }
td small { color: var(--muted); font-size: 12px; }
td.ours { color: var(--ours); font-weight: 600; }
tr.has-remarks > td { border-bottom: none; }
tr.remarks td { padding: 0 12px 9px 0; color: var(--muted); font-size: 12.5px; }
tr.remarks div { max-width: 120ch; }
tr.variant td:first-child { padding-left: 18px; color: var(--muted); }
.status {
  white-space: nowrap; font-size: 12px; padding: 1px 8px; border-radius: 9px;
  background: var(--soft); color: var(--muted);
}
.status.done { background: #e2f0f3; color: var(--ours); }
.status.failed, .status.broken { background: #f9e6dd; color: var(--wrong); }
.reason { font-size: 12px; color: var(--muted); max-width: 46ch; overflow-wrap: anywhere; }
.failed + .reason, .broken + .reason { color: var(--wrong); }
details { margin: 2px 0; }
summary { cursor: pointer; color: var(--ours); font-size: 12.5px; }
img { max-width: 100%; display: block; margin: 8px 0 14px; }
code {
  font: 12.5px ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: var(--soft);
  padding: 1px 4px; border-radius: 3px;
}
.mistake table { width: auto; margin: 8px 0 4px; }
.mistake th, .mistake td { padding-right: 24px; }
@media print { nav { display: none; } }
"""

PAGE = (
    HEAD
    + """<h1>{{ title }}</h1>
{% for note in notes %}<p{% if not loop.first %} class="muted"{% endif %}>{{ note | code }}</p>
{% endfor -%}
<nav>
{% for section in sections %}<a href="#{{ section.key }}">{{ section.title }}</a>
{% endfor %}<a href="#wrong">What the report got wrong</a>
</nav>

{% macro row(line, variant) -%}
{% set more = line.remarks or line.id in figures -%}
<tr class="{{ 'variant' if variant }} {{ 'has-remarks' if more }}" id="{{ line.id }}">
  <td>{{ line.name }}</td>
  <td class="whole">{{ line.printed | lines('; ') }}</td>
  <td class="whole ours">{{ line.ours | lines('; ') }}</td>
  {% for figure in line.figures %}<td class="whole">{{ figure | lines(' (') }}</td>
  {% endfor -%}
  {% for theirs, ours in (line.films, line.epochs) -%}
  <td class="whole">{{ theirs }}{% if ours %}<br><small>{{ ours }}</small>{% endif %}</td>
  {% endfor -%}
  <td><span class="status {{ line.status | replace(' ', '-') }}">{{ line.status }}</span>
  {%- if line.reason %}<div class="reason">{{ line.reason | code }}</div>{% endif %}</td>
</tr>
{% if more -%}
<tr class="remarks"><td colspan="{{ 6 + line.figures | length }}">
  {% for remark in line.remarks %}<div>{{ remark | code }}</div>
  {% endfor -%}
  {% for figure in figures.get(line.id, []) -%}
  <details><summary>{{ figure.title }}</summary>
  <img alt="{{ figure.title }}: {{ line.id }}" loading="lazy"
    src="data:image/png;base64,{{ figure.data }}"></details>
  {% endfor %}
</td></tr>
{%- endif %}
{%- endmacro %}

{% for section in sections %}
<section id="{{ section.key }}">
<h2>{{ section.title }}</h2>
<p class="form">As printed: {{ section.form }}. Films and epochs: the report's, and below ours
(train / validation / test).</p>
<div class="wide"><table>
<thead><tr><th>network</th><th>report</th><th>ours</th>
{% for head in section.heads %}<th>{{ head }}</th>{% endfor %}
<th>films</th><th>epochs</th><th>status</th></tr></thead>
<tbody>
{% for group, lines in section.lines | grouped %}
{% if group %}<tr><td class="group" colspan="{{ 6 + section.heads | length }}">{{ group }}</td></tr>
{% endif %}
{% for line in lines %}
{{ row(line, false) }}
{% for variant in line.variants if variant.status != 'not run' %}{{ row(variant, true) }}
{% endfor %}
{% endfor %}
{% endfor %}
</tbody>
</table></div>
</section>
{% endfor %}

<section id="wrong">
<h2>What the report got wrong</h2>
<p class="form">Each mistake with its effect, measured on the runs and films at hand or computed
from the printed figures.</p>
{% for mistake in mistakes %}
<div class="mistake">
<h3>{{ loop.index }}. {{ mistake.title }}</h3>
<p class="muted">{{ mistake.told | code }}</p>
{% for sentence in mistake.effect %}<p>{{ sentence | code }}</p>
{% endfor %}
{% if mistake.grid %}<div class="wide"><table>
<thead><tr>{% for head in mistake.grid.head %}<th>{{ head }}</th>{% endfor %}</tr></thead>
<tbody>
{% for cells in mistake.grid.rows %}<tr>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>{% endif %}
</div>
{% endfor %}
</section>
</main>
</body>
</html>
"""
)
