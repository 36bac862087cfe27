"""When a destination took something last is found without looking through all that it ever got."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_NAME = "ix_delivery_destination_sent_at"
_SENT = sa.text("sent_at IS NOT NULL")


def upgrade() -> None:
    """Go to this version."""
    op.create_index(
        _NAME,
        "delivery",
        ["destination", "sent_at"],
        sqlite_where=_SENT,
        postgresql_where=_SENT,
    )


def downgrade() -> None:
    """Go back to version 0012, which looks through all."""
    op.drop_index(_NAME, "delivery")
