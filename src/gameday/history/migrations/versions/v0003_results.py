"""Whether each objective was met, as the verdict says: a figure alone does not tell, nor does the lack of one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_RESULTS = ("detected_result", "recovered_result", "data_loss_result")


def upgrade() -> None:
    for name in _RESULTS:
        op.add_column("gameday_drills", sa.Column(name, sa.String(16)))
