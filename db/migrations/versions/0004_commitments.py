"""Storage commitment: asked of destinations, and asked of us."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_WAITS = sa.text("commit_at IS NOT NULL")


def upgrade() -> None:
    """Go to this version."""
    op.add_column("delivery", sa.Column("commit_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "delivery",
        sa.Column("commit_attempts", sa.Integer(), server_default="0", nullable=False),
    )
    op.add_column("delivery", sa.Column("transaction_uid", sa.String(length=64), nullable=True))
    op.create_index(
        "ix_delivery_commit",
        "delivery",
        ["destination", "commit_at"],
        unique=False,
        sqlite_where=_WAITS,
        postgresql_where=_WAITS,
    )
    op.create_index(
        op.f("ix_delivery_transaction_uid"), "delivery", ["transaction_uid"], unique=False
    )
    op.create_table(
        "commitment_request",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("peer_ae", sa.String(length=16), nullable=False),
        sa.Column("peer_address", sa.String(length=64), nullable=False),
        sa.Column("called_ae", sa.String(length=16), nullable=False),
        sa.Column("instances", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("answer_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_request")),
        sa.UniqueConstraint(
            "transaction_uid", "peer_ae", name=op.f("uq_commitment_request_transaction_uid_peer_ae")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_commitment_request_answer_at"), "commitment_request", ["answer_at"], unique=False
    )


def downgrade() -> None:
    """Go back to version 0003, which asks nobody and answers nobody."""
    op.drop_table("commitment_request")
    op.drop_index(op.f("ix_delivery_transaction_uid"), table_name="delivery")
    op.drop_index("ix_delivery_commit", table_name="delivery")
    for column in ("transaction_uid", "commit_attempts", "commit_at"):
        op.drop_column("delivery", column)
