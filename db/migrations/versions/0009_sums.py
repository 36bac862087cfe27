"""Sums of the history by the hour, the day and the week, and what they are made from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TROUBLE = sa.text("state IN ('refused', 'quarantined', 'rejected')")
_SUMS = ("film_sum", "reading_sum", "study_sum", "delivery_sum", "shadow_sum")


def upgrade() -> None:
    """Go to this version; what was sent so far was sent for the first time when it was last."""
    op.create_table(
        "delivery_sum",
        sa.Column("length", sa.String(length=8), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("destination", sa.String(length=96), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("latency", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("length", "start", "destination", name=op.f("pk_delivery_sum")),
    )
    op.create_table(
        "film_sum",
        sa.Column("length", sa.String(length=8), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("length", "start", "source", "station", name=op.f("pk_film_sum")),
    )
    op.create_table(
        "reading_sum",
        sa.Column("length", sa.String(length=8), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=False),
        sa.Column("bundle", sa.String(length=128), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("positive", sa.Integer(), nullable=False),
        sa.Column("probability", sa.Text(), nullable=False),
        sa.Column("wait", sa.Text(), nullable=False),
        sa.Column("measured", sa.Integer(), nullable=False),
        sa.Column("grey_mean", sa.Float(), nullable=False),
        sa.Column("grey_mean_squares", sa.Float(), nullable=False),
        sa.Column("grey_mean_histogram", sa.Text(), nullable=False),
        sa.Column("grey_spread", sa.Float(), nullable=False),
        sa.Column("grey_spread_squares", sa.Float(), nullable=False),
        sa.Column("grey_spread_histogram", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "length", "start", "source", "station", "bundle", name=op.f("pk_reading_sum")
        ),
    )
    op.create_table(
        "shadow_sum",
        sa.Column("length", sa.String(length=8), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("active", sa.String(length=128), nullable=False),
        sa.Column("shadow", sa.String(length=128), nullable=False),
        sa.Column("both_positive", sa.Integer(), nullable=False),
        sa.Column("active_only", sa.Integer(), nullable=False),
        sa.Column("shadow_only", sa.Integer(), nullable=False),
        sa.Column("both_negative", sa.Integer(), nullable=False),
        sa.Column("difference", sa.Float(), nullable=False),
        sa.Column("absolute_difference", sa.Float(), nullable=False),
        sa.Column("not_read", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("length", "start", "active", "shadow", name=op.f("pk_shadow_sum")),
    )
    op.create_table(
        "stale_hour",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stale_hour")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "study_sum",
        sa.Column("length", sa.String(length=8), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("bundle", sa.String(length=128), nullable=False),
        sa.Column("studies", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("positive", sa.Text(), nullable=False),
        sa.Column("negative", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("length", "start", "source", "bundle", name=op.f("pk_study_sum")),
    )
    op.create_table(
        "summed_until",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_summed_until")),
    )
    op.add_column("delivery", sa.Column("first_sent_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE delivery SET first_sent_at = sent_at WHERE sent_at IS NOT NULL")
    op.create_index(op.f("ix_delivery_first_sent_at"), "delivery", ["first_sent_at"], unique=False)
    op.create_index(
        "ix_event_trouble",
        "event",
        ["at"],
        unique=False,
        sqlite_where=_TROUBLE,
        postgresql_where=_TROUBLE,
    )
    op.create_index(op.f("ix_instance_received_at"), "instance", ["received_at"], unique=False)
    op.add_column("reading", sa.Column("grey_mean", sa.Float(), nullable=True))
    op.add_column("reading", sa.Column("grey_spread", sa.Float(), nullable=True))
    op.create_index(op.f("ix_reading_created_at"), "reading", ["created_at"], unique=False)


def downgrade() -> None:
    """Go back to the version before, which sums nothing up."""
    op.drop_index("ix_reading_created_at", "reading")
    op.drop_column("reading", "grey_spread")
    op.drop_column("reading", "grey_mean")
    op.drop_index("ix_instance_received_at", "instance")
    op.drop_index("ix_event_trouble", "event")
    op.drop_index("ix_delivery_first_sent_at", "delivery")
    op.drop_column("delivery", "first_sent_at")
    for table in (*_SUMS, "stale_hour", "summed_until"):
        op.drop_table(table)
