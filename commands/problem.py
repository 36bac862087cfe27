"""A command cannot go on."""

from __future__ import annotations


class ProblemError(Exception):
    """A command cannot go on; the message says why and what to do, in one sentence."""
