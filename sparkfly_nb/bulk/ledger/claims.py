"""Claims on shards: one process claims a shard, sends and records its rows, or another takes over when it dies."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from ...errors import LedgerError
from ..records import row_to_send
from .bulk_sql import rows_at_once
from .store import ROWS_TO_SEND, end_rows, ledger_time
from .tables import claimants, rows, shards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..records import Outcome, Row, Run
    from .store import Ledger

__all__ = ["LEASE_S", "Claim", "Claimant"]

#: A claimant without a heartbeat for this long counts as dead.
LEASE_S: Final = 120.0
# Claimants of this process that ended while the ledger could not be written, and are therefore still recorded in it.
_LEFT: Final[set[str]] = set()


class Claim(NamedTuple):
    """A shard that only this claimant may send."""

    shard: int
    claims: int
    rows: list[Row]


class Claimant:
    """One process that works on one run. No other process sends the shards that it claims.

    Parameters
    ----------
    ledger : Ledger
        The ledger that records the run.
    run : Run
        The run.
    after_death_s, after_loss_s : float
        Seconds for which its workers may keep sending after this process died, and after it lost contact with them.
    """

    def __init__(self, ledger: Ledger, run: Run, *, after_death_s: float = 0.0, after_loss_s: float = 0.0) -> None:
        self.name = uuid.uuid4().hex
        self._ledger = ledger
        self._run = run
        self._after_death_s = after_death_s
        self._after_loss_s = after_loss_s

    def beat(self) -> None:
        """Record that this process is alive."""
        with self._ledger.transaction() as connection:
            seen = {
                "host": this_host(),
                "pid": os.getpid(),
                "seen_at": ledger_time(connection),
                "linger_s": self._after_death_s,
            }
            known = connection.execute(sa.update(claimants).where(claimants.c.claimant == self.name).values(seen))
            if not known.rowcount:
                connection.execute(sa.insert(claimants).values(claimant=self.name, **seen))

    def leave(self) -> None:
        """Mark claimed rows without an outcome as unknown, and delete this claimant."""
        try:
            with self._ledger.transaction() as connection:
                reason = "the run ended before the response was recorded"
                self._give_up(connection, self.name, reason, self._after_loss_s)
                connection.execute(sa.delete(claimants).where(claimants.c.claimant == self.name))
        except LedgerError:
            # The run itself reports this error. Its rows stay claimed in the ledger, so a later run in this process
            # must know that this claimant is gone.
            _LEFT.add(self.name)

    def claim(self, below: int | None = None) -> Claim | None:
        """Claim the next planned shard, or return None if none is left.

        The claim is committed before the first request, so no other process can send these rows.

        Parameters
        ----------
        below : int, optional
            Claim only shards with a lower number.
        """
        run_no = self._run.run_no
        open_ = _shards_below(below, shards.c.run_no == run_no, shards.c.state == "planned")
        while True:
            with self._ledger.transaction() as connection:
                # PostgreSQL: skip a shard that another process is claiming right now, instead of waiting for it.
                found = connection.execute(
                    sa.select(shards).where(open_).order_by(shards.c.shard).limit(1).with_for_update(skip_locked=True)
                ).first()
                if found is None:
                    return None
                planned = rows_at_once(connection, ROWS_TO_SEND.where(_planned_within(run_no, found)))
                # The rows may have ended without being sent: then close the shard and try the next one.
                state = "sent" if planned else "settled"
                connection.execute(
                    sa.update(shards)
                    .where(shards.c.run_no == run_no, shards.c.shard == found.shard)
                    .values(state=state, claimant=self.name if planned else None, claims=found.claims + 1)
                )
            if planned:
                return Claim(found.shard, found.claims + 1, [row_to_send(self._run, *row) for row in planned])

    def finds_planned(self, below: int | None = None) -> bool:
        """Return whether a shard waits to be claimed."""
        open_ = _shards_below(below, shards.c.run_no == self._run.run_no, shards.c.state == "planned")
        with self._ledger.transaction(writing=False) as connection:
            return connection.execute(sa.select(shards.c.shard).where(open_).limit(1)).first() is not None

    def record(self, shard: int, outcomes: Sequence[Outcome], *, lingers: bool = False) -> None:
        """Record the outcomes of a claimed shard, and release its rows that were not sent.

        Parameters
        ----------
        shard : int
            The shard.
        outcomes : sequence of Outcome
            The outcomes. Rows without an outcome were not sent.
        lingers : bool
            Whether a worker that seems dead may still be sending the rows.
        """
        run_no = self._run.run_no
        with self._ledger.transaction() as connection:
            end_rows(connection, run_no, outcomes)
            found = connection.execute(
                sa.select(shards).where(shards.c.run_no == run_no, shards.c.shard == shard)
            ).one()
            left = connection.execute(sa.select(rows.c.position).where(_planned_within(run_no, found)).limit(1)).first()
            after = ledger_time(connection) + self._after_loss_s if lingers else found.settle_after
            # A late report may arrive when another process has claimed the shard: its rows end, the claim stays.
            connection.execute(
                sa.update(shards)
                .where(shards.c.run_no == run_no, shards.c.shard == shard, shards.c.claimant == self.name)
                .values(state="planned" if left else "settled", claimant=None, settle_after=after)
            )

    def recover(self, below: int | None = None) -> int:
        """Mark the rows of dead claimants as unknown, and return the number of other claimants still at work.

        Parameters
        ----------
        below : int, optional
            Consider only claimants of shards with a lower number.
        """
        alive = 0
        claimed = _shards_below(
            below, shards.c.run_no == self._run.run_no, shards.c.state == "sent", shards.c.claimant != self.name
        )
        with self._ledger.transaction() as connection:
            query = (
                sa.select(shards.c.claimant, *(claimants.c[name] for name in ("host", "pid", "seen_at", "linger_s")))
                .join_from(shards, claimants, shards.c.claimant == claimants.c.claimant, isouter=True)
                .where(claimed)
                .distinct()
            )
            now = ledger_time(connection)
            for claimant, host, pid, seen_at, linger_s in connection.execute(query).all():
                is_gone = claimant in _LEFT or (host == this_host() and not _runs_here(pid))
                if seen_at is None or now - seen_at > LEASE_S or is_gone:
                    reason = "the process that sent this row ended before the response arrived"
                    self._give_up(connection, claimant, reason, linger_s or 0.0)
                    connection.execute(sa.delete(claimants).where(claimants.c.claimant == claimant))
                else:
                    alive += 1
        return alive

    def abandon(self, reason: str) -> None:
        """Mark claimed rows as unknown because their workers are lost."""
        with self._ledger.transaction() as connection:
            self._give_up(connection, self.name, reason, self._after_loss_s)

    def _give_up(self, connection: sa.Connection, claimant: str, reason: str, linger_s: float) -> None:
        """Mark the planned rows of a claimant's shards as unknown: any of them may have been sent."""
        run_no = self._run.run_no
        claimed = sa.and_(shards.c.run_no == run_no, shards.c.state == "sent", shards.c.claimant == claimant)
        after = ledger_time(connection) + linger_s
        for shard in connection.execute(sa.select(shards).where(claimed).with_for_update()).all():
            connection.execute(
                sa.update(rows)
                .where(_planned_within(run_no, shard))
                .values(outcome="unknown", error=reason, attempts=rows.c.attempts + 1)
            )
            connection.execute(
                sa.update(shards)
                .where(shards.c.run_no == run_no, shards.c.shard == shard.shard)
                .values(state="settled", claimant=None, settle_after=after)
            )


def _shards_below(below: int | None, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.and_(*conditions, *(() if below is None else (shards.c.shard < below,)))


def _planned_within(run_no: int, shard: sa.Row[tuple[object, ...]]) -> sa.ColumnElement[bool]:
    return sa.and_(
        rows.c.run_no == run_no,
        rows.c.position.between(shard.first, shard.last),
        rows.c.outcome == "planned",
    )


def this_host() -> str:
    """Return the name of this machine and container. Process numbers are valid only within one container."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _runs_here(pid: int) -> bool:
    if os.name != "posix":  # on Windows os.kill would end the process; rely on the lease instead
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # OverflowError: larger than any process number
        return False
    except PermissionError:  # the process of another user
        return True
    return True
