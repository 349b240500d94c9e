"""The ledger: every run and row is here before the wire is touched, and every answer after it. The driver alone writes.

A row begins as ``planned`` and ends as done, ``rejected`` or ``unknown``. A shard is ``planned``, ``sent`` (claimed by
one process, from before its first request) or ``settled``. A planned row of a sent shard may have been sent: when its
claimant is dead it becomes ``unknown``.
"""

from __future__ import annotations

import copy
import os
import socket
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import sqlalchemy as sa

from ..errors import LedgerError
from .job import Outcome, Row
from .tables import claimants, make_engine, metadata, rows, runs, shards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["LEASE_S", "Claim", "Ledger", "PlannedRow", "Run"]

LEASE_S: Final = 120.0
"""A claimant that was not heard of for so long counts as dead."""
READ_CHUNK_ROWS: Final = 20_000
_END_COLUMNS: Final = (
    "outcome", "http_status", "error", "trace", "settled_by", "offer_state_id",
    "offer_id", "credential_identifier", "activates_at", "expires_at",
)  # fmt: skip


class Run(NamedTuple):
    """A run as it is recorded."""

    run: str
    operation: str
    digest: str
    environment: str
    address: str
    campaign_id: str | None
    reason: str | None
    row_count: int
    user_name: str
    host: str
    version: str
    started_at: str
    undoes: str | None
    run_no: int = 0


class PlannedRow(NamedTuple):
    """A row as it enters the ledger."""

    position: int
    member_id: int | None
    member_identifier: str | None
    offer_state_id: int | None
    external_ref_id: str | None
    payload: dict[str, Any]


class Claim(NamedTuple):
    """A shard that this process may send, and nobody else."""

    shard: int
    claims: int
    rows: list[Row]


class Ledger:
    """Runs and rows in a database.

    Parameters
    ----------
    address : str or None
        A path, an SQLAlchemy address, or None for the user's own ledger.
    """

    def __init__(self, address: str | None) -> None:
        self._engine = make_engine(address)
        self._ready = False
        self.claimant = uuid.uuid4().hex

    def __str__(self) -> str:
        url = self._engine.url
        return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)

    def for_one_call(self) -> Ledger:
        """Give the same ledger to another claimant: each bulk call claims shards for itself."""
        other = copy.copy(self)
        other.claimant = uuid.uuid4().hex
        return other

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writing: bool = True) -> Iterator[sa.Connection]:
        """Work in one transaction; every fault of the database becomes a `LedgerError`."""
        try:
            if not self._ready:
                metadata.create_all(self._engine)
                self._ready = True
            with self._engine.connect().execution_options(writing=writing) as connection, connection.begin():
                yield connection
        except sa.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            words = str(cause).strip().splitlines()
            raise LedgerError(
                f"the ledger {self} cannot be used: {words[0] if words else type(cause).__name__}. "
                "What was not recorded was not sent, or is read back when the run is continued"
            ) from None

    # ---- runs

    def find(self, *, run: str | None = None, digest: str | None = None) -> Run | None:
        """Find a run by its name, or the oldest one that asked for the same."""
        condition = runs.c.run == run if run is not None else runs.c.digest == digest
        with self._transaction(writing=False) as connection:
            found = connection.execute(sa.select(runs).where(condition).order_by(runs.c.run_no).limit(1)).first()
        return _run_of(found) if found else None

    def all_runs(self) -> list[tuple[Run, dict[str, int]]]:
        """Give every run, newest first, with its rows counted by outcome."""
        with self._transaction(writing=False) as connection:
            recorded = [_run_of(found) for found in connection.execute(sa.select(runs).order_by(runs.c.run_no.desc()))]
            counted = connection.execute(
                sa.select(rows.c.run_no, rows.c.outcome, sa.func.count()).group_by(rows.c.run_no, rows.c.outcome)
            ).all()
        counts: dict[int, dict[str, int]] = {}
        for run_no, outcome, number in counted:
            counts.setdefault(run_no, {})[outcome] = number
        return [(run, counts.get(run.run_no, {})) for run in recorded]

    def create(self, run: Run, planned: Iterable[Sequence[PlannedRow]], bounds: Iterable[tuple[int, int]]) -> Run:
        """Record a run with all its rows and shards, or find that somebody else just did."""
        entry = {name: value for name, value in run._asdict().items() if name != "run_no"}
        with self._transaction() as connection:
            there = connection.execute(sa.select(runs).where(runs.c.run == run.run)).first()
            if there:
                return _run_of(there)
            # PostgreSQL lets a second process wait here until the first one has committed, and then refuses its name.
            try:
                with connection.begin_nested():
                    inserted = connection.execute(sa.insert(runs).values(entry)).inserted_primary_key
            except sa.exc.IntegrityError:
                return _run_of(connection.execute(sa.select(runs).where(runs.c.run == run.run)).one())
            run_no = int(inserted[0]) if inserted else 0
            for chunk in planned:
                connection.execute(
                    sa.insert(rows),
                    [
                        {
                            **row._asdict(),
                            "payload": orjson.dumps(row.payload).decode() if row.payload else None,
                            "run_no": run_no,
                            "outcome": "planned",
                            "attempts": 0,
                            "resends": 0,
                            "undone": False,
                        }
                        for row in chunk
                    ],
                )
            entries = [
                {"run_no": run_no, "shard": number, "first": first, "last": last, "state": "planned", "claims": 0}
                for number, (first, last) in enumerate(bounds)
            ]
            if entries:
                connection.execute(sa.insert(shards), entries)
        return run._replace(run_no=run_no)

    def counts(self, run_no: int) -> dict[str, int]:
        """Count the rows of a run by outcome."""
        with self._transaction(writing=False) as connection:
            counted = connection.execute(
                sa.select(rows.c.outcome, sa.func.count()).where(rows.c.run_no == run_no).group_by(rows.c.outcome)
            ).all()
        return {row[0]: row[1] for row in counted}

    def chunks(self, run_no: int, *, only: str | None = None) -> Iterator[list[dict[str, Any]]]:
        """Give the rows of a run in order, some at a time, as mappings by column; `only` one outcome if given."""
        last = -1
        while True:
            query = (
                sa.select(rows)
                .where(rows.c.run_no == run_no, rows.c.position > last)
                .order_by(rows.c.position)
                .limit(READ_CHUNK_ROWS)
            )
            if only is not None:
                query = query.where(rows.c.outcome == only)
            with self._transaction(writing=False) as connection:
                chunk = [dict(row) for row in connection.execute(query).mappings()]
            if not chunk:
                return
            yield chunk
            last = chunk[-1]["position"]

    def issued_elsewhere(self, address: str, campaign_id: str, run_no: int) -> dict[tuple[str, Any], str]:
        """Give who was, or may have been, issued an offer of this campaign in another run of this ledger, and in which.

        Keys are ``("member_id", 1009)`` and ``("member_identifier", "M-1009")``.
        """
        others = sa.and_(
            runs.c.operation == "issue",
            runs.c.address == address,
            runs.c.campaign_id == campaign_id,
            runs.c.run_no != run_no,
        )
        held = sa.and_(shards.c.run_no == runs.c.run_no, shards.c.state == "sent")
        within = sa.and_(rows.c.run_no == shards.c.run_no, rows.c.position.between(shards.c.first, shards.c.last))
        names = (rows.c.member_id, rows.c.answered_member_id, rows.c.member_identifier, runs.c.run)
        ended = (
            sa.select(*names)
            .join_from(rows, runs, rows.c.run_no == runs.c.run_no)
            .where(others, rows.c.undone.is_(False), rows.c.outcome.in_(("issued", "unknown")))
        )
        maybe_sent = (
            sa.select(*names)
            .join_from(runs, shards, held)
            .join(rows, within)
            .where(others, rows.c.outcome == "planned")
        )
        known: dict[tuple[str, Any], str] = {}
        with self._transaction(writing=False) as connection:
            for query in (ended, maybe_sent):
                for asked, answered, identifier, run in connection.execute(query):
                    for name, value in (
                        ("member_id", asked),
                        ("member_id", answered),
                        ("member_identifier", identifier),
                    ):
                        if value is not None:
                            known[name, value] = run
        return known

    # ---- shards

    def claim(self, run: Run, below: int | None = None) -> Claim | None:
        """Claim the next planned shard: nobody else can send its rows, from before its first request.

        Parameters
        ----------
        run : Run
            The run.
        below : int, optional
            Only shards with a lower number.
        """
        mine = sa.and_(shards.c.run_no == run.run_no, shards.c.state == "planned")
        if below is not None:
            mine = sa.and_(mine, shards.c.shard < below)
        while True:
            with self._transaction() as connection:
                found = connection.execute(
                    sa.select(shards).where(mine).order_by(shards.c.shard).limit(1).with_for_update(skip_locked=True)
                ).first()
                if found is None:
                    return None
                planned = connection.execute(
                    sa.select(rows)
                    .where(
                        rows.c.run_no == run.run_no,
                        rows.c.position.between(found.first, found.last),
                        rows.c.outcome == "planned",
                    )
                    .order_by(rows.c.position)
                ).all()
                state = "sent" if planned else "settled"
                connection.execute(
                    sa.update(shards)
                    .where(shards.c.run_no == run.run_no, shards.c.shard == found.shard)
                    .values(state=state, claimant=self.claimant if planned else None, claims=found.claims + 1)
                )
            if planned:
                return Claim(found.shard, found.claims + 1, [_row_to_send(run, row) for row in planned])

    def record(self, run_no: int, shard: int, outcomes: Sequence[Outcome]) -> None:
        """Record what became of the rows of a claimed shard, and give back what was not sent."""
        with self._transaction() as connection:
            _end_rows(connection, run_no, outcomes)
            bounds = connection.execute(
                sa.select(shards.c.first, shards.c.last).where(shards.c.run_no == run_no, shards.c.shard == shard)
            ).one()
            left = connection.execute(
                sa.select(rows.c.position)
                .where(
                    rows.c.run_no == run_no,
                    rows.c.position.between(bounds.first, bounds.last),
                    rows.c.outcome == "planned",
                )
                .limit(1)
            ).first()
            connection.execute(
                sa.update(shards)
                .where(shards.c.run_no == run_no, shards.c.shard == shard, shards.c.claimant == self.claimant)
                .values(state="planned" if left else "settled", claimant=None)
            )

    def end(self, run_no: int, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes that were found without sending: by read-back, or because nothing is to be sent."""
        with self._transaction() as connection:
            _end_rows(connection, run_no, outcomes)

    def reopen(self, run_no: int, lost: Sequence[Row]) -> None:
        """Plan unknown rows again that were read back and surely did not happen."""
        if not lost:
            return
        with self._transaction() as connection:
            connection.execute(
                sa.update(rows)
                .where(
                    rows.c.run_no == run_no,
                    rows.c.position == sa.bindparam("at"),
                    rows.c.outcome == "unknown",
                    rows.c.resends == sa.bindparam("sent_again"),
                )
                .values(outcome="planned", resends=rows.c.resends + 1),
                [{"at": row.position, "sent_again": row.resends} for row in lost],
            )
            positions = [row.position for row in lost]
            reopened = sa.exists().where(
                rows.c.run_no == shards.c.run_no,
                rows.c.position.between(shards.c.first, shards.c.last),
                rows.c.position.between(min(positions), max(positions)),
                rows.c.outcome == "planned",
            )
            connection.execute(
                sa.update(shards)
                .where(shards.c.run_no == run_no, shards.c.state == "settled", reopened)
                .values(state="planned")
            )

    def mark_undone(self, run_no: int, positions: Sequence[int]) -> None:
        """Note that what these rows issued was voided, so that it may be issued again."""
        if positions:
            with self._transaction() as connection:
                connection.execute(
                    sa.update(rows)
                    .where(rows.c.run_no == run_no, rows.c.position == sa.bindparam("at"))
                    .values(undone=True),
                    [{"at": position} for position in positions],
                )

    def rows_of(self, run: Run, *, outcome: str | None = None, first: int | None = None) -> list[Row]:
        """Give rows of a run as they are sent: those with one outcome, or the first so many, or all."""
        query = sa.select(rows).where(rows.c.run_no == run.run_no).order_by(rows.c.position)
        if outcome is not None:
            query = query.where(rows.c.outcome == outcome)
        with self._transaction(writing=False) as connection:
            return [_row_to_send(run, row) for row in connection.execute(query.limit(first))]

    # ---- who is at work

    def beat(self) -> None:
        """Say that this process is alive."""
        with self._transaction() as connection:
            seen = {"host": this_host(), "pid": os.getpid(), "seen_at": _now(connection)}
            known = connection.execute(sa.update(claimants).where(claimants.c.claimant == self.claimant).values(seen))
            if not known.rowcount:
                connection.execute(sa.insert(claimants).values(claimant=self.claimant, **seen))

    def leave(self) -> None:
        """Say that this process is through: what it still holds as sent is for others to read back."""
        with self._transaction() as connection:
            connection.execute(sa.delete(claimants).where(claimants.c.claimant == self.claimant))

    def recover(self, run_no: int) -> int:
        """Turn what dead claimants had sent into unknown rows; count the claimants that are still at work."""
        alive = 0
        with self._transaction() as connection:
            query = (
                sa.select(shards.c.claimant, claimants.c.host, claimants.c.pid, claimants.c.seen_at)
                .join_from(shards, claimants, shards.c.claimant == claimants.c.claimant, isouter=True)
                .where(shards.c.run_no == run_no, shards.c.state == "sent", shards.c.claimant != self.claimant)
                .distinct()
            )
            now = _now(connection)
            for claimant, host, pid, seen_at in connection.execute(query).all():
                if seen_at is None or now - seen_at > LEASE_S or (host == this_host() and not _runs_here(pid)):
                    self._give_up(connection, run_no, claimant, "the process that sent it ended before the answer came")
                else:
                    alive += 1
        return alive

    def abandon(self, run_no: int, reason: str) -> None:
        """Turn what this process had sent, and will not hear of again, into unknown rows."""
        with self._transaction() as connection:
            self._give_up(connection, run_no, self.claimant, reason)

    def _give_up(self, connection: sa.Connection, run_no: int, claimant: str, reason: str) -> None:
        held = sa.and_(shards.c.run_no == run_no, shards.c.state == "sent", shards.c.claimant == claimant)
        for shard in connection.execute(sa.select(shards).where(held).with_for_update()).all():
            connection.execute(
                sa.update(rows)
                .where(
                    rows.c.run_no == run_no,
                    rows.c.position.between(shard.first, shard.last),
                    rows.c.outcome == "planned",
                )
                .values(outcome="unknown", error=reason, attempts=rows.c.attempts + 1)
            )
            connection.execute(
                sa.update(shards)
                .where(shards.c.run_no == run_no, shards.c.shard == shard.shard)
                .values(state="settled", claimant=None)
            )


def _end_rows(connection: sa.Connection, run_no: int, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes over rows that have not ended yet; an ended row stays as it is."""
    if not outcomes:
        return
    changes: dict[str, Any] = {name: sa.bindparam("new_" + name) for name in _END_COLUMNS}
    for kept in ("offer_state_id",):  # asked for by a void, answered by an issue: an answer that is silent keeps it
        changes[kept] = sa.func.coalesce(sa.bindparam("new_" + kept, type_=sa.BigInteger), rows.c[kept])
    changes["answered_member_id"] = sa.bindparam("new_member_id")
    changes["attempts"] = rows.c.attempts + sa.bindparam("new_attempts")
    connection.execute(
        sa.update(rows)
        .where(
            rows.c.run_no == run_no,
            rows.c.position == sa.bindparam("new_position"),
            sa.or_(rows.c.outcome == "planned", rows.c.outcome == "unknown"),
        )
        .values(changes),
        [{"new_" + name: value for name, value in outcome._asdict().items()} for outcome in outcomes],
    )


def _row_to_send(run: Run, row: Any) -> Row:
    """Give a recorded row as the values that are sent, by the API's names."""
    sent: dict[str, Any] = {} if run.campaign_id is None else {"campaign_id": run.campaign_id}
    if row.member_id is not None:
        sent["member_id"] = row.member_id
    else:
        sent["member_identifier"] = row.member_identifier
    if run.operation == "issue":
        sent["external_ref_id"] = row.external_ref_id
    else:
        sent["offerstate_id"] = row.offer_state_id
    if row.payload:
        sent.update(orjson.loads(row.payload))
    return Row(row.position, sent, row.resends)


def _run_of(found: Any) -> Run:
    return Run(**{name: getattr(found, name) for name in Run._fields})


def _now(connection: sa.Connection) -> float:
    """Give the time by the clock that all users of this ledger share."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.execute(sa.select(sa.extract("epoch", sa.func.clock_timestamp()))).scalar_one())


def this_host() -> str:
    """Name this machine, or this container of it: process numbers mean something only within."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _runs_here(pid: int) -> bool:
    if os.name != "posix":  # elsewhere asking may end the process: wait for the lease instead
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
