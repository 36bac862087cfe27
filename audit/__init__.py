"""The audit trail (PS3.15 A.5): who did what with whose data, in a file that only grows.

The trail is no log: the standard has it name patients. Nothing of it goes to the log.
"""

from __future__ import annotations

from audit.trail import Trail

__all__ = ["Trail"]
