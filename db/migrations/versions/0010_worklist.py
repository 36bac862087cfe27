"""What the worklist is looked through by: stations, names, and indexes in its orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ORDERED = ("source_ae", "station", "bundle", "finding", "state")
_REPLACED = ("source_ae", "probability", "created_at")
_UNDELIVERED = sa.text("state IN ('pending', 'rejected')")


def upgrade() -> None:
    """Go to this version."""
    # SQLite adds generated columns only where they are not stored; PostgreSQL indexes no others.
    stored = op.get_bind().dialect.name == "postgresql"
    name = sa.String(400).with_variant(sa.String(400, collation="C"), "postgresql")
    for column in (
        sa.Column("station", sa.String(64), nullable=False, server_default=""),
        sa.Column(
            "patient_name_key",
            name,
            sa.Computed("lower(patient_name)", persisted=stored),
            nullable=True,
        ),
        sa.Column(
            "rank",
            sa.Float(),
            sa.Computed("coalesce(probability, -1)", persisted=stored),
            nullable=True,
        ),
    ):
        op.add_column("study", column)
    op.execute(
        "UPDATE study SET station = coalesce((SELECT instance.station FROM instance"
        " WHERE instance.study_id = study.id ORDER BY instance.id LIMIT 1), '')"
    )
    for each in _REPLACED:
        op.drop_index(f"ix_study_{each}", "study")
    op.create_index("ix_study_patient_name_key", "study", ["patient_name_key"])
    op.create_index("ix_study_created_at_id", "study", ["created_at", "id"])
    op.create_index("ix_study_rank_id", "study", ["rank", "id"])
    for each in _ORDERED:
        op.create_index(f"ix_study_{each}_created_at_id", "study", [each, "created_at", "id"])
    op.create_index(
        "ix_delivery_undelivered",
        "delivery",
        ["destination", "result_id"],
        sqlite_where=_UNDELIVERED,
        postgresql_where=_UNDELIVERED,
    )


def downgrade() -> None:
    """Go back to version 0009, which knows none of it."""
    op.drop_index("ix_delivery_undelivered", "delivery")
    for each in _ORDERED:
        op.drop_index(f"ix_study_{each}_created_at_id", "study")
    for each in ("rank_id", "created_at_id", "patient_name_key"):
        op.drop_index(f"ix_study_{each}", "study")
    for each in _REPLACED:
        op.create_index(f"ix_study_{each}", "study", [each])
    for each in ("rank", "patient_name_key", "station"):
        op.drop_column("study", each)
