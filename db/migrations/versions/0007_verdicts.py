"""What people say of readings, and readings in shadow that somebody asked for by hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "verdict",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("instance_id", _ID, nullable=False),
        sa.Column("reading_id", _ID, nullable=False),
        sa.Column("finding", sa.String(length=16), nullable=False),
        sa.Column("boxes", sa.JSON(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instance.id"],
            name=op.f("fk_verdict_instance_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["reading_id"], ["reading.id"], name=op.f("fk_verdict_reading_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        sqlite_autoincrement=True,
    )
    for column in ("instance_id", "reading_id", "at"):
        op.create_index(op.f(f"ix_verdict_{column}"), "verdict", [column], unique=False)
    op.add_column("shadow_reading", sa.Column("asked_by", sa.String(length=128), nullable=True))


def downgrade() -> None:
    """Go back to version 0006, which knows no verdicts."""
    op.drop_column("shadow_reading", "asked_by")
    op.drop_table("verdict")
