"""The report's page as a Jinja template; what stands on it comes from `page`."""

from __future__ import annotations

from training.evaluation.style import HEAD

PAGE = (
    HEAD
    + """{% macro pair(metric) %}
<td class="n">{{ metric | figure }}</td><td class="n">{{ metric | interval }}</td>
{% endmacro %}
{% macro table(figures, caption) %}
<div class="wide"><table><caption>{{ caption }}</caption>
<thead><tr><th>figure</th><th>value</th><th>95 % interval</th><th>what</th></tr></thead>
<tbody>
{% for name, metric in figures.items() %}
<tr><td><code>{{ name }}</code></td>{{ pair(metric) }}<td>{{ metric.of }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}

<h1>{{ title }}</h1>
<p class="muted">{{ report.data }}. Network <code>{{ report.weights[:16] }}</code>.
{% if report.evaluation_only %} <b>The bundle is for evaluation only, not for clinical use.</b>
{% endif %}</p>
{% if report.leakage and report.leakage.remark %}
<div class="warning">{{ report.leakage.remark }}</div>
{% endif %}
{% if report.differing or report.left_out %}
<div class="warning">{{ report.verdict }}</div>
{% elif report.verdict %}
<p>{{ report.verdict }}</p>
{% endif %}
{% for note in notes %}
<p>{{ note }}</p>
{% endfor %}
<div class="cards">
{% for name, metric in cards %}
<div class="card"><b>{{ metric | figure }}</b>{{ name }}<span>{{ metric | interval }}</span></div>
{% endfor %}
</div>

<h2>Figures</h2>
<p class="muted">95 % intervals by bootstrap over patients ({{ report.draws }} draws); those of the
controls and of groups' AUCs by DeLong, with films of one patient taken together. The figures hold
for films like these and are not comparable with results on the whole challenge set.</p>
{{ table(key, "Key figures, as a bundle carries them.") }}
{{ table(more, "More.") }}
{% if report.others %}{{ table(report.others, "Films of other sources.") }}{% endif %}
<div class="plots">
{% for name, plot in plots.items() %}
<figure>{{ plot }}<figcaption><b>{{ name }}.</b> {{ captions[name] }}</figcaption></figure>
{% endfor %}
</div>

<h2>Operating points</h2>
<p class="muted">What they give on these films. Positive from the threshold on (>=). In use:
<code>{{ told.predictions.point }}</code>. Predictive values hold for the share of opacity here.</p>
<div class="wide"><table>
<thead><tr><th>point</th><th>threshold</th><th>sensitivity</th><th>specificity</th>
<th>positive predictive value</th><th>negative predictive value</th></tr></thead>
<tbody>
{% for point in told.points %}
<tr><td>{{ point.name | words }}</td>
<td class="n">{{ "%.3f" | format(point.thresholds[0]) }}
{% if point.thresholds[0] != point.thresholds[1] %}
 to {{ "%.3f" | format(point.thresholds[1]) }}
{% endif %}</td>
{% for metric in (point.sensitivity, point.specificity, point.positive_predictive_value,
point.negative_predictive_value) %}
<td class="n">{{ metric | figure }}<br><small>{{ metric | interval }}</small></td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>

{% if told.froc %}
<h2>Boxes</h2>
<p class="muted">The challenge's metric is TP / (TP + FP + FN) by film, its mean over IoU thresholds
0.40 to 0.75, then over films; an IoU equal to the threshold is no hit (>). A film with neither true
nor drawn box is left out; any box on a film without opacity scores 0.</p>
<div class="wide"><table><caption>Challenge metric by IoU threshold.</caption>
<thead><tr>{% for iou in told.challenge %}<th>{{ "%.2f" | format(iou) }}</th>
{% endfor %}</tr></thead>
<tbody><tr>{% for value in told.challenge.values() %}<td>{{ "%.3f" | format(value) }}</td>
{% endfor %}</tr></tbody></table></div>
<div class="wide"><table><caption>FROC: share of true boxes found at so many false boxes a film.
</caption>
<thead><tr>{% for rate in told.froc %}<th>{{ "%g" | format(rate) }}</th>{% endfor %}</tr></thead>
<tbody><tr>{% for metric in told.froc.values() %}
<td class="n">{{ metric | figure }}<br><small>{{ metric | interval }}</small></td>
{% endfor %}</tr></tbody></table></div>
{% endif %}

<h2>Subgroups</h2>
<p class="muted">The view first: it goes along with disease in this data. Groups with fewer than
{{ least }} films of either class are not shown. Ages above 100 count as unknown.</p>
<div class="wide"><table>
<thead><tr><th></th><th>group</th><th>films</th><th>with opacity</th><th>AUC</th>
<th>sensitivity</th><th>specificity</th><th>challenge metric</th></tr></thead>
<tbody>
{% for group in told.groups %}
<tr><td>{{ group.kind }}</td><td>{{ group.name }}</td>
{% if group.metrics %}
<td>{{ group.films }}</td><td>{{ group.positives }}</td>
{% for name in ("opacity_auc", "sensitivity", "specificity", "challenge_score") %}
<td class="n">{% if name in group.metrics %}{{ group.metrics[name] | figure }}<br>
<small>{{ group.metrics[name] | interval }}</small>{% else %}–{% endif %}</td>
{% endfor %}
{% else %}
<td colspan="6" class="muted">too few films to be shown</td>
{% endif %}
</tr>
{% endfor %}
</tbody></table></div>

<h2>Shortcut controls</h2>
<p class="muted">What is reached without looking at the film as a reader would. A model that does
not lie clearly above these has learned a shortcut.</p>
{{ table(told.controls, "") }}
{% if missing %}<p class="muted">Not measured on these predictions: {{ missing | join(", ") }}.</p>
{% endif %}

{% if report.comparison %}
<h2>Against {{ report.comparison.other }}</h2>
<p>On the {{ report.comparison.films }} films that both read: AUC of opacity
{{ "%.3f" | format(report.comparison.auc) }} against
{{ "%.3f" | format(report.comparison.other_auc) }}, difference
{{ report.comparison.difference.difference | figure }}
({{ report.comparison.difference.difference | interval }}; DeLong,
p = {{ "%.3g" | format(report.comparison.difference.p) }}).
{% if report.comparison.challenge %}
Challenge metric: difference {{ report.comparison.challenge | figure }}
({{ report.comparison.challenge | interval }}; paired bootstrap over patients).
{% endif %}</p>
{% endif %}

{% macro films(shown, title) %}
<h3>{{ title }}</h3>
{% if shown %}
<div class="films">
{% for film in shown %}
<figure><img alt="{{ film.words }}" src="data:image/jpeg;base64,{{ film.jpeg }}">
<figcaption>{{ film.words }} <code>{{ film.film }}</code></figcaption></figure>
{% endfor %}
</div>
{% else %}
<p class="muted">None.</p>
{% endif %}
{% endmacro %}
{% if report.gallery %}
<h2>Where it was most wrong</h2>
<p class="muted">True boxes green, drawn boxes orange. Films go by the first digits of a digest, as
in predictions.csv; the pictures hold whatever is burned into the films.</p>
{{ films(report.gallery.false_positives, "Called positive without opacity, surest first") }}
{{ films(report.gallery.false_negatives, "Opacity called negative, surest first") }}
{% endif %}
</main>
</body>
</html>
"""
)
