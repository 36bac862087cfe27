"""Which bundles are in use, and what a bundle in shadow says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go to this version."""
    op.create_table(
        "bundle_choice",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column(
            "role",
            sa.Enum("active", "shadow", name="bundlerole", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("bundle", sa.String(length=64), nullable=True),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("before_id", _ID, nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["before_id"],
            ["bundle_choice.id"],
            name=op.f("fk_bundle_choice_before_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_choice")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bundle_choice_role_id", "bundle_choice", ["role", "id"], unique=False)
    op.create_table(
        "bundle_problem",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("choice_id", _ID, nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["choice_id"],
            ["bundle_choice.id"],
            name=op.f("fk_bundle_problem_choice_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_problem")),
        sa.UniqueConstraint("choice_id", "worker", name=op.f("uq_bundle_problem_choice_id_worker")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "shadow_reading",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("instance_id", _ID, nullable=False),
        sa.Column("reading_id", _ID, nullable=True),
        sa.Column("bundle", sa.String(length=128), nullable=False),
        sa.Column("device_uid", sa.String(length=64), nullable=True),
        sa.Column("p_normal", sa.Float(), nullable=True),
        sa.Column("p_not_normal", sa.Float(), nullable=True),
        sa.Column("p_lung_opacity", sa.Float(), nullable=True),
        sa.Column("pneumonia", sa.Float(), nullable=True),
        sa.Column("finding", sa.String(length=16), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=True),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("refusal_code", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instance.id"],
            name=op.f("fk_shadow_reading_instance_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["reading_id"],
            ["reading.id"],
            name=op.f("fk_shadow_reading_reading_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadow_reading")),
        sqlite_autoincrement=True,
    )
    for column in ("instance_id", "reading_id", "created_at"):
        op.create_index(
            op.f(f"ix_shadow_reading_{column}"), "shadow_reading", [column], unique=False
        )


def downgrade() -> None:
    """Go back to version 0001, which knows no shadow tasks."""
    op.execute("DELETE FROM task WHERE kind = 'shadow'")
    for table in ("shadow_reading", "bundle_problem", "bundle_choice"):
        op.drop_table(table)
