"""The index of drills and their alerts. Tables from before Alembic are taken over, of their first version too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gameday.history.model import UtcDateTime

revision = "0001"
down_revision = None

_DRILLS, _ALERTS, _BEFORE = "gameday_drills", "gameday_drill_alerts", "gameday_schema"
_INDEXES = {
    _DRILLS: {
        "gameday_drills_started": ["started"],
        "gameday_drills_scenario_started": ["scenario", "started"],
        "gameday_drills_environment_started": ["environment", "started"],
        "gameday_drills_verdict_started": ["verdict", "started"],
    },
    _ALERTS: {"gameday_drill_alerts_alert": ["alert"]},
}


def upgrade() -> None:
    there = sa.inspect(op.get_bind())
    if not there.has_table(_BEFORE):
        _create()
        return
    version = op.get_bind().scalar(sa.text(f"SELECT max(version) FROM {_BEFORE}"))  # noqa: S608
    if version == 1:
        _from_the_first(there)
    elif version != 2:
        raise ValueError(f"tables of version {version}, which this gameday does not know")
    op.drop_table(_BEFORE)


def _create() -> None:
    op.create_table(
        _DRILLS,
        sa.Column("drill", sa.String(255), primary_key=True),
        sa.Column("scenario", sa.String(255), nullable=False),
        sa.Column("environment", sa.String(255), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("started", UtcDateTime, nullable=False),
        sa.Column("ended", UtcDateTime, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("exit_code", sa.Integer, nullable=False),
        sa.Column("speed", sa.Double, nullable=False),
        sa.Column("mttd_s", sa.Double),
        sa.Column("mttd_resolution_s", sa.Double),
        sa.Column("mttd_objective_s", sa.Double),
        sa.Column("time_to_recover_s", sa.Double),
        sa.Column("time_to_recover_resolution_s", sa.Double),
        sa.Column("rto_s", sa.Double),
        sa.Column("data_loss_s", sa.Double),
        sa.Column("rpo_s", sa.Double),
        sa.Column("restored_by", sa.String(16)),
        sa.Column("folder", sa.String(4096), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("tier", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(2000), nullable=False),
        sa.Column("expected_alert", sa.String(255)),
        sa.Column("runbook", sa.String(255)),
        sa.Column("rules", sa.String(4096)),
        sa.Column("counted", sa.Boolean, nullable=False),
    )
    op.create_table(
        _ALERTS,
        sa.Column(
            "drill", sa.String(255), sa.ForeignKey(f"{_DRILLS}.drill", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("alert", sa.String(512), primary_key=True),
        sa.Column("expected", sa.Boolean, nullable=False),
        sa.Column("collateral", sa.Boolean, nullable=False),
        sa.Column("fired", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("mttd_s", sa.Double),
    )
    for table, indexes in _INDEXES.items():
        for name, columns in indexes.items():
            op.create_index(name, table, columns)


def _from_the_first(there: sa.Inspector) -> None:
    """It lacked what became of each alert, and what a control leaves open could not be empty there. This fills in what
    can be told without the evidence; drills whose folder is there are indexed anew afterwards."""
    columns = {name: [row["name"] for row in there.get_columns(name)] for name in (_ALERTS, _DRILLS)}
    for table, indexes in _INDEXES.items():
        for index in indexes:
            op.drop_index(index, table_name=table, if_exists=True)
    for table in (_ALERTS, _DRILLS):
        op.rename_table(table, f"{table}_v1")
    _create()
    for table, more in ((_DRILLS, _MORE_OF_DRILLS), (_ALERTS, _MORE_OF_ALERTS)):
        kept = ", ".join(columns[table])
        target = f"INSERT INTO {table} ({kept}, {', '.join(more)})"
        op.execute(f"{target} SELECT {kept}, {', '.join(more.values())} FROM {table}_v1")  # noqa: S608
    for table in (_ALERTS, _DRILLS):
        op.drop_table(f"{table}_v1")


_MORE_OF_DRILLS = {"rules": "NULL", "counted": "FALSE"}
_MORE_OF_ALERTS = {
    "outcome": "CASE WHEN expected THEN 'unknown' WHEN collateral AND fired THEN 'collateral' "
    "WHEN collateral THEN 'quiet' ELSE 'unexpected' END"
}
