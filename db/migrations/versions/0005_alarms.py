"""Alarms, and what is still to be told of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN = sa.text("cleared_at IS NULL")


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "alarm",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=96), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_alarm_open",
        "alarm",
        ["kind", "subject"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "alarm_notice",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("alarm_id", _ID, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("cleared", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("send_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["alarm_id"],
            ["alarm.id"],
            name=op.f("fk_alarm_notice_alarm_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_notice")),
        sa.UniqueConstraint(
            "alarm_id", "channel", "cleared", name=op.f("uq_alarm_notice_alarm_id_channel_cleared")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alarm_notice_send_at"), "alarm_notice", ["send_at"], unique=False)


def downgrade() -> None:
    """Go back to version 0004, which raises no alarms."""
    op.drop_table("alarm_notice")
    op.drop_table("alarm")
