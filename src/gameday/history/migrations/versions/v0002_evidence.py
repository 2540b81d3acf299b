"""Evidence itself, and why each verdict is what it is. Older gamedays may go on writing: what is new may be absent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("gameday_drills", sa.Column("reasons", sa.JSON))
    op.create_table(
        "gameday_evidence_files",
        sa.Column(
            "drill",
            sa.String(255),
            sa.ForeignKey("gameday_drills.drill", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("name", sa.String(1024), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
