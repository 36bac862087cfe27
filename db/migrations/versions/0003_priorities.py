"""What is urgent: readings, studies and reports say so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this version; what was read before it is routine."""
    for table in ("study", "report"):
        op.add_column(
            table,
            sa.Column(
                "priority",
                sa.Enum("routine", "urgent", name="priority", native_enum=False, length=16),
                nullable=False,
                server_default="routine",
            ),
        )
    op.add_column(
        "reading", sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Go back to version 0002."""
    op.drop_column("reading", "urgent")
    for table in ("report", "study"):
        op.drop_column(table, "priority")
