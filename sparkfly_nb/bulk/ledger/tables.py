"""The ledger's tables."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

__all__ = ["claimants", "metadata", "rows", "runs", "shards"]

#: All tables of the ledger.
metadata: Final = sa.MetaData()

#: One bulk call: what it was asked to do, where, by whom and when.
runs: Final = sa.Table(
    "runs",
    metadata,
    sa.Column("run_no", sa.Integer, primary_key=True),
    sa.Column("run", sa.Text, nullable=False, unique=True),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("campaign_id", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("user_name", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("started_at", sa.Text, nullable=False),
    sa.Column("undoes", sa.Text),  # the name of the issue run that this run voids
)

#: Consecutive rows of a run that one process claims and sends together.
shards: Final = sa.Table(
    "shards",
    metadata,
    sa.Column("run_no", sa.Integer, sa.ForeignKey("runs.run_no"), primary_key=True, autoincrement=False),
    sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # planned, sent or settled
    sa.Column("claimant", sa.Text),
    sa.Column("claims", sa.Integer, nullable=False, default=0),
    sa.Column("settle_after", sa.Float(53)),  # a time like seen_at; until then a worker may still be sending
)

#: One row of the plan: what is sent, and its outcome.
rows: Final = sa.Table(
    "rows",
    metadata,
    sa.Column("run_no", sa.Integer, sa.ForeignKey("runs.run_no"), primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("member_id", sa.BigInteger),
    sa.Column("member_identifier", sa.Text),
    sa.Column("offer_state_id", sa.BigInteger),
    sa.Column("external_ref_id", sa.Text),
    sa.Column("payload", sa.Text),  # the other values that are sent, as JSON
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("http_status", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("trace", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("resends", sa.Integer, nullable=False, default=0),  # how often a lost row was planned again
    sa.Column("settled_by", sa.Text),
    # from the response; member_id is what was requested
    sa.Column("answered_member_id", sa.BigInteger),
    sa.Column("offer_id", sa.BigInteger),
    sa.Column("credential_identifier", sa.Text),
    sa.Column("activates_at", sa.Text),
    sa.Column("expires_at", sa.Text),
    sa.Column("undone", sa.Boolean, nullable=False, default=False),  # voided since, so it may be issued again
    sqlite_with_rowid=False,  # stored in the order of the primary key, in which runs are read
)

#: A process that sends rows of a run.
claimants: Final = sa.Table(
    "claimants",
    metadata,
    sa.Column("claimant", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.Float(53), nullable=False),  # seconds since 1970, by the database's clock
    sa.Column("linger_s", sa.Float(53), nullable=False),  # how long its workers may go on after the process died
)
