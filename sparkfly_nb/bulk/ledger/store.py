"""The ledger: every run and row is recorded before its request is sent, and every outcome after the response.

Only the process that runs the bulk call writes to the ledger. Its workers do not. A row starts as ``planned`` and ends
as done, ``rejected`` or ``unknown``. A shard is ``planned``, ``sent`` (claimed by one process before its first request)
or ``settled``. The module `claims` changes these states. A planned row of a sent shard may have been sent already, so
it becomes ``unknown`` when its claimant dies.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from ...errors import LedgerError
from ..operations import OPERATIONS
from ..records import Outcome, PlannedRow, Row, Run, row_to_send
from .bulk_sql import execute_for_rows, rows_at_once
from .database import make_engine, make_tables
from .integrity import check_cells, check_shards
from .tables import claimants, rows, runs, shards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["ROWS_TO_SEND", "Ledger", "end_rows", "ledger_time"]

#: Rows of one query. A chunk of this size stays in the processor's cache.
READ_CHUNK_ROWS: Final = 2_000
#: No worker keeps sending for longer than this: each of its timeouts is below one day.
LONGEST_WAIT_S: Final = 3 * 86_400.0
_END_COLUMNS: Final = (
    "outcome", "http_status", "error", "trace", "settled_by", "answered_member_id",
    "offer_id", "credential_identifier", "activates_at", "expires_at",
)  # fmt: skip


class Ledger:
    """Runs and rows in a database.

    Parameters
    ----------
    address : str or None
        A path, an SQLAlchemy address, or None for the user's default ledger.
    """

    def __init__(self, address: str | None) -> None:
        self._engine = make_engine(address)
        self._ready = False

    def __str__(self) -> str:
        url = self._engine.url
        # the query may contain a password as well
        return str(url.database) if url.get_backend_name() == "sqlite" else url.set(query={}).render_as_string()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, *, writing: bool = True) -> Iterator[sa.Connection]:
        """Open a transaction. Errors of the database are raised as `LedgerError`."""
        try:
            # Connect on first use: opening a Session must not need a database server.
            if not self._ready:
                make_tables(self._engine)
                self._ready = True
            with self._engine.connect().execution_options(writing=writing) as connection, connection.begin():
                yield connection
        except sa.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            words = str(cause).strip().splitlines()
            raise LedgerError(
                f"the ledger {self} cannot be used: {words[0] if words else type(cause).__name__}. "
                "Rows that are not recorded were not sent, or are checked against the service when the run is continued"
            ) from None  # SQLAlchemy's error contains the address and the values

    # ---- runs

    def find(self, *, run: str | None = None, digest: str | None = None) -> Run | None:
        """Find a run by its name, or the oldest run with the same digest."""
        condition = runs.c.run == run if run is not None else runs.c.digest == digest
        with self.transaction(writing=False) as connection:
            found = connection.execute(sa.select(runs).where(condition).order_by(runs.c.run_no).limit(1)).first()
            return _checked(connection, found) if found else None

    def all_runs(self) -> list[tuple[Run, dict[str, int]]]:
        """Return every run, newest first, with the number of its rows by outcome."""
        with self.transaction(writing=False) as connection:
            check_cells(connection, runs)
            recorded = [_run_of(found) for found in connection.execute(sa.select(runs).order_by(runs.c.run_no.desc()))]
            counted = connection.execute(
                sa.select(rows.c.run_no, rows.c.outcome, sa.func.count()).group_by(rows.c.run_no, rows.c.outcome)
            ).all()
        counts: dict[int, dict[str, int]] = {}
        for run_no, outcome, number in counted:
            counts.setdefault(run_no, {})[outcome] = number
        return [(run, counts.get(run.run_no, {})) for run in recorded]

    def create(self, run: Run, planned: Iterable[Sequence[PlannedRow]], bounds: Iterable[tuple[int, int]]) -> Run:
        """Record a run with its rows and shards, or return the run that already has this name."""
        entry = {name: value for name, value in run._asdict().items() if name != "run_no"}
        with self.transaction() as connection:
            there = connection.execute(sa.select(runs).where(runs.c.run == run.run)).first()
            if there:
                return _checked(connection, there)
            # On PostgreSQL a second process with the same name waits here until the first one commits, then it fails.
            try:
                with connection.begin_nested():
                    inserted = connection.execute(sa.insert(runs).values(entry)).inserted_primary_key
            except sa.exc.IntegrityError:
                return _run_of(connection.execute(sa.select(runs).where(runs.c.run == run.run)).one())
            run_no = int(inserted[0]) if inserted else 0
            for chunk in planned:
                execute_for_rows(
                    connection,
                    sa.insert(rows),
                    PlannedRow._fields,
                    ((*row[:-1], orjson.dumps(row.payload).decode() if row.payload else None) for row in chunk),
                    run_no=run_no,
                    outcome="planned",
                    attempts=0,
                    resends=0,
                    undone=False,
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
        with self.transaction(writing=False) as connection:
            counted = connection.execute(
                sa.select(rows.c.outcome, sa.func.count()).where(rows.c.run_no == run_no).group_by(rows.c.outcome)
            ).all()
        return {row[0]: row[1] for row in counted}

    def chunks(self, run_no: int, *, only: str | None = None) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a run in order, in chunks of dicts by column; with `only`, the rows with that outcome."""
        query = sa.select(rows) if only is None else sa.select(rows).where(rows.c.outcome == only)
        names = rows.c.keys()
        for chunk in self._paged(run_no, query):
            yield [dict(zip(names, row, strict=True)) for row in chunk]

    def columns(self, run_no: int, names: Sequence[str]) -> Iterator[dict[str, tuple[Any, ...]]]:
        """Yield columns of the rows of a run in order, in chunks."""
        for chunk in self._paged(run_no, sa.select(rows.c.position, *(rows.c[name] for name in names))):
            yield dict(zip(("position", *names), zip(*chunk, strict=True), strict=True))

    def _paged(self, run_no: int, query: sa.Select[Any]) -> Iterator[Sequence[sa.Row[Any]]]:
        """Yield the results of a query within a run, in order and in chunks."""
        # A transaction for each chunk: a slow reader does not keep the database from others.
        query = query.where(rows.c.run_no == run_no).order_by(rows.c.position).limit(READ_CHUNK_ROWS)
        last = -1
        while True:
            with self.transaction(writing=False) as connection:
                chunk = connection.execute(query.where(rows.c.position > last)).all()
            if not chunk:
                return
            yield chunk
            last = chunk[-1].position

    def issued_elsewhere(self, address: str, campaign_id: str, run_no: int) -> dict[tuple[str, Any], str]:
        """Map members that got, or may have got, an offer of this campaign in another run to the name of that run.

        Keys are ``("member_id", 1009)`` and ``("member_identifier", "M-1009")``.
        """
        others = sa.and_(
            runs.c.operation == "issue",
            runs.c.address == address,
            runs.c.campaign_id == campaign_id,
            runs.c.run_no != run_no,
        )
        # A claimed shard is being sent, so its planned rows count as well.
        claimed = sa.and_(shards.c.run_no == runs.c.run_no, shards.c.state == "sent")
        within = sa.and_(rows.c.run_no == shards.c.run_no, rows.c.position.between(shards.c.first, shards.c.last))
        names = (rows.c.member_id, rows.c.answered_member_id, rows.c.member_identifier, runs.c.run)
        ended = (
            sa.select(*names)
            .join_from(rows, runs, rows.c.run_no == runs.c.run_no)
            .where(others, rows.c.undone.is_(False), rows.c.outcome.in_(("issued", "unknown")))
        )
        maybe_sent = (
            sa.select(*names)
            .join_from(runs, shards, claimed)
            .join(rows, within)
            .where(others, rows.c.outcome == "planned")
        )
        known: dict[tuple[str, Any], str] = {}
        with self.transaction(writing=False) as connection:
            for query in (ended, maybe_sent):
                for requested, confirmed, identifier, run in connection.execute(query):
                    for name, value in (
                        ("member_id", requested),
                        ("member_id", confirmed),
                        ("member_identifier", identifier),
                    ):
                        if value is not None:
                            known[name, value] = run
        return known

    # ---- rows

    def end(self, run_no: int, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes that were found without sending: by readback, or because the rows must not be sent."""
        with self.transaction() as connection:
            end_rows(connection, run_no, outcomes)

    def end_unclaimed(self, run_no: int, outcomes: Sequence[Outcome]) -> int:
        """Record why rows are not sent, and return how many were recorded. Rows of claimed shards are skipped."""
        with self.transaction() as connection:
            free = connection.execute(
                sa.select(shards.c.first, shards.c.last)
                .where(shards.c.run_no == run_no, shards.c.state == "planned")
                .order_by(shards.c.first)
                .with_for_update()
            ).all()
            firsts = [first for first, _ in free]
            ended = []
            for outcome in outcomes:
                shard = bisect_right(firsts, outcome.position) - 1
                if shard >= 0 and outcome.position <= free[shard].last:
                    ended.append(outcome)
            end_rows(connection, run_no, ended)
        return len(ended)

    def end_lost(self, run_no: int, lost: Sequence[Row], outcomes: Sequence[Outcome]) -> int:
        """Record the outcomes of unknown rows that did not happen. Rows that were planned again since are skipped.

        Parameters
        ----------
        run_no : int
            The run.
        lost : sequence of Row
            The rows as they were before the readback.
        outcomes : sequence of Outcome
            The outcomes of some of these rows.

        Returns
        -------
        int
            The number of skipped rows. They may have happened by now.
        """
        if not outcomes:
            return 0
        positions = [outcome.position for outcome in outcomes]
        with self.transaction() as connection:
            unknown = connection.execute(
                sa.select(rows.c.position, rows.c.resends)
                .where(
                    rows.c.run_no == run_no,
                    rows.c.position.between(min(positions), max(positions)),
                    rows.c.outcome == "unknown",
                )
                .order_by(rows.c.position)
                .with_for_update()
            ).all()
            # The number of resends reveals a row that another process sent again, and lost again, in the meantime.
            unchanged = set(map(tuple, unknown)) & {(row.position, row.resends) for row in lost}
            ended = {position for position, _ in unchanged}
            end_rows(connection, run_no, [outcome for outcome in outcomes if outcome.position in ended])
        return sum(position not in ended for position in positions)

    def reopen(self, run_no: int, lost: Sequence[Row]) -> None:
        """Plan unknown rows again after a readback proved that they did not happen."""
        if not lost:
            return
        with self.transaction() as connection:
            # Comparing resends plans a row once for each loss, even if two processes read the same row back.
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
        """Record that the offers of these rows were voided, so their members may be issued to again."""
        if positions:
            with self.transaction() as connection:
                connection.execute(
                    sa.update(rows)
                    .where(rows.c.run_no == run_no, rows.c.position == sa.bindparam("at"))
                    .values(undone=True),
                    [{"at": position} for position in positions],
                )

    def rows_of(self, run: Run, *, outcome: str | None = None, first: int | None = None) -> list[Row]:
        """Return the rows of a run as they are sent: all of them, those with an outcome, or the `first` ones."""
        query = ROWS_TO_SEND.where(rows.c.run_no == run.run_no).order_by(rows.c.position)
        if outcome is not None:
            query = query.where(rows.c.outcome == outcome)
        with self.transaction(writing=False) as connection:
            return [row_to_send(run, *row) for row in rows_at_once(connection, query.limit(first))]

    def safe_in_s(self, run_no: int) -> float:
        """Return the seconds until no worker of a dead claimant can still be sending."""
        # Until then a row that the service does not show may still arrive there.
        latest = sa.select(sa.func.max(shards.c.settle_after)).where(shards.c.run_no == run_no)
        with self.transaction(writing=False) as connection:
            moment = connection.execute(latest).scalar_one()
            wait_s = 0.0 if moment is None else max(0.0, float(moment) - ledger_time(connection))
        if wait_s > LONGEST_WAIT_S:
            raise LedgerError(
                "the ledger says that rows may still be sent for days: a clock was wrong, or the ledger was "
                "changed by hand. The unknown rows stay unknown; check them against the service by hand"
            )
        return wait_s


def end_rows(connection: sa.Connection, run_no: int, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes to rows that have not ended yet. A row that has ended stays as it is."""
    is_open = sa.or_(rows.c.outcome == sa.literal_column("'planned'"), rows.c.outcome == sa.literal_column("'unknown'"))
    fields = ["answered_member_id" if name == "member_id" else name for name in Outcome._fields]
    if connection.dialect.name == "sqlite":
        # All rows exist, so the insert always turns into an update. SQLite takes many rows in one insert, but not in
        # one update.
        insert = sqlite.insert(rows)
        statement: sa.Insert | sa.Update = insert.on_conflict_do_update(
            index_elements=[rows.c.run_no, rows.c.position], set_=_changes(insert.excluded), where=is_open
        )
        execute_for_rows(connection, statement, fields, outcomes, run_no=run_no, resends=0, undone=False)
        return
    new = {name: sa.bindparam("new_" + name, type_=rows.c[name].type) for name in fields}
    statement = sa.update(rows).where(rows.c.run_no == run_no, rows.c.position == new["position"], is_open)
    execute_for_rows(connection, statement.values(_changes(new)), ["new_" + name for name in fields], outcomes)


def _changes(new: Any) -> dict[str, Any]:
    """Return the new values of a row, from the values of its outcome."""
    return {
        **{name: new[name] for name in _END_COLUMNS},
        # A void sends this id, an issue receives it. A response without it must not delete it.
        "offer_state_id": sa.func.coalesce(new["offer_state_id"], rows.c.offer_state_id),
        "attempts": rows.c.attempts + new["attempts"],
    }


#: The columns of a row that `row_to_send` needs.
ROWS_TO_SEND: Final = sa.select(*(rows.c[name] for name in (*PlannedRow._fields, "resends")))


def _checked(connection: sa.Connection, found: Any) -> Run:
    """Return a recorded run after checking the run, its rows and its shards."""
    of_run = found.run_no
    for table in (runs, shards, rows):
        check_cells(connection, table, table.c.run_no == of_run)
    check_cells(connection, claimants)
    run = _run_of(found)
    if run.operation not in OPERATIONS:
        raise LedgerError(f"run {run.run!r} has an operation that this version does not know; update sparkfly-nb")
    bounds = connection.execute(sa.select(shards.c.first, shards.c.last).where(shards.c.run_no == of_run)).all()
    check_shards(run.run, [(first, last) for first, last in bounds])
    return run


def _run_of(found: Any) -> Run:
    return Run(**{name: getattr(found, name) for name in Run._fields})


def ledger_time(connection: sa.Connection) -> float:
    """Return the time in seconds since 1970, by the clock that all users of this ledger share."""
    if connection.dialect.name == "sqlite":
        return time.time()
    # The server's clock: the clocks of its clients may differ.
    return float(connection.execute(sa.select(sa.extract("epoch", sa.func.clock_timestamp()))).scalar_one())
