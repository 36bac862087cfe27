"""What is in a bundle, for people: its model card."""

from __future__ import annotations

from markdown_it import MarkdownIt

from console.services.errors import MissingError
from inference.bundle import MODEL_CARD, MODEL_CARD_HTML, Bundle

SANDBOXED = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
)
"""The policy of a card that is a page of its own, with plots: it may look, and do nothing. It is of
no origin, runs no script, sends no form and loads nothing."""


def card_text(bundle: Bundle) -> str:
    """Return the model card as HTML that is safe to show on a page of ours.

    Whoever made the bundle wrote it: HTML in it is shown as text, links are to the web alone.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    reader.validateLink = lambda url: url.startswith(("https://", "http://"))  # type: ignore[method-assign]
    made: str = reader.render(card_source(bundle))
    return made


def card_source(bundle: Bundle) -> str:
    """Return the model card as it was written, in Markdown."""
    return (bundle.path / MODEL_CARD).read_text(encoding="utf-8")


def has_page(bundle: Bundle) -> bool:
    """Tell whether a bundle has a card with plots too."""
    return MODEL_CARD_HTML in bundle.files


def card_page(bundle: Bundle) -> str:
    """Return the card with plots, a page of its own, to be shown under the policy `SANDBOXED`.

    Raises:
        MissingError: the bundle has none.
    """
    if not has_page(bundle):
        raise MissingError(f"{bundle.id}/{bundle.version} has no model card with plots.")
    return (bundle.path / MODEL_CARD_HTML).read_text(encoding="utf-8")
