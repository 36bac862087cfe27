"""The model card as one HTML page that needs nothing else: its Markdown, with plots."""

from __future__ import annotations

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from training.evaluation.figures import Evaluation
from training.evaluation.plots import plots
from training.evaluation.style import HEAD, STYLE

_PAGE = (
    HEAD
    + """{{ card }}
<h2>Plots</h2>
<p class="muted">From {{ told.predictions.cases | length }} films, the same that the figures above
were measured on.</p>
<div class="plots">
{% for name, plot in plots.items() %}<figure>{{ plot }}<figcaption><b>{{ name }}</b></figcaption>
</figure>
{% endfor %}</div>
</main>
</body>
</html>
"""
)


def card_page(title: str, card: str, told: Evaluation) -> str:
    """Return a model card as an HTML page.

    Args:
        title: The page's title.
        card: The card as Markdown; HTML in it is shown, not obeyed.
        told: What the card's figures were measured by, for the plots.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    return environment.from_string(_PAGE).render(
        title=title,
        style=STYLE,
        card=Markup(markdown.render(card)),
        told=told,
        plots=plots(told),
    )
