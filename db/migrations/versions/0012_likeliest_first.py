"""Indexes that lead along the likeliest studies of a source, station, bundle, finding or state."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ORDERED = ("source_ae", "station", "bundle", "finding", "state")


def upgrade() -> None:
    """Go to this version."""
    for each in _ORDERED:
        op.create_index(f"ix_study_{each}_rank_id", "study", [each, "rank", "id"])


def downgrade() -> None:
    """Go back to version 0011."""
    for each in _ORDERED:
        op.drop_index(f"ix_study_{each}_rank_id", "study")
