"""Destinations that are paused, changes of peers and destinations, users who may not log in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "destination_pause",
        sa.Column("destination", sa.String(length=96), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("destination", name=op.f("pk_destination_pause")),
    )
    op.create_table(
        "configuration_change",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("values", sa.JSON(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configuration_change")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_configuration_change_part_name", "configuration_change", ["part", "name", "id"]
    )
    op.add_column("console_user", sa.Column("disabled_at", _TIME, nullable=True))


def downgrade() -> None:
    """Go back to version 0007; users who may not log in may again."""
    op.drop_column("console_user", "disabled_at")
    for table in ("configuration_change", "destination_pause"):
        op.drop_table(table)
