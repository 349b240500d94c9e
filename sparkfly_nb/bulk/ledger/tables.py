"""The ledger's tables, and the engine they live in: SQLite in a private file, or any SQLAlchemy address."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs
import sqlalchemy as sa
from sqlalchemy import event

from ...errors import ConfigurationError, LedgerError
from ...files import make_private_file
from .integrity import check_tables

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["claimants", "default_path", "make_engine", "make_tables", "rows", "runs", "shards"]

BUSY_TIMEOUT_S: Final = 30
"""How long SQLite waits for another writer before the ledger counts as locked, unless its address has ``timeout``."""
BUSY_LOOK_S: Final = 0.02

MAKING_LOCK: Final = 0x5F4C_ED6E
"""The number of the lock, among those of the database, under which tables are made."""

_STRANGE: Final = "ledger is neither a path nor an address that SQLAlchemy understands"

metadata: Final = sa.MetaData()

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
    sa.Column("undoes", sa.Text),
)

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
    sa.Column("settle_after", sa.Float(53)),  # a time as seen_at: until then a worker may still be sending
)

rows: Final = sa.Table(
    "rows",
    metadata,
    sa.Column("run_no", sa.Integer, sa.ForeignKey("runs.run_no"), primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("member_id", sa.BigInteger),
    sa.Column("member_identifier", sa.Text),
    sa.Column("offer_state_id", sa.BigInteger),
    sa.Column("external_ref_id", sa.Text),
    sa.Column("payload", sa.Text),  # what else is sent, as JSON
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("http_status", sa.Integer),
    sa.Column("error", sa.Text),
    sa.Column("trace", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("resends", sa.Integer, nullable=False, default=0),
    sa.Column("settled_by", sa.Text),
    sa.Column("answered_member_id", sa.BigInteger),
    sa.Column("offer_id", sa.BigInteger),
    sa.Column("credential_identifier", sa.Text),
    sa.Column("activates_at", sa.Text),
    sa.Column("expires_at", sa.Text),
    sa.Column("undone", sa.Boolean, nullable=False, default=False),
    sqlite_with_rowid=False,
)

claimants: Final = sa.Table(
    "claimants",
    metadata,
    sa.Column("claimant", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.Float(53), nullable=False),  # seconds since 1970, by the database's clock
    sa.Column("linger_s", sa.Float(53), nullable=False),  # how long its workers may go on sending after its death
)


def default_path() -> Path:
    """Give the ledger's place in the user's data directory."""
    return Path(platformdirs.user_data_dir("sparkfly_nb", appauthor=False)) / "ledger.db"


def make_engine(ledger: str | None) -> sa.Engine:
    """Make the engine of a ledger, without connecting.

    Parameters
    ----------
    ledger : str or None
        A path of a SQLite file, an address that SQLAlchemy understands, or None for the user's own ledger.

    Raises
    ------
    ConfigurationError
        The address cannot be used.
    LedgerError
        The file cannot be made, or is not private.
    """
    url = _url_of(str(ledger) if ledger is not None else str(default_path()))
    try:
        if url.get_backend_name() == "sqlite":
            if not url.database or url.database == ":memory:":
                raise ConfigurationError("a ledger in memory would be lost with the kernel; give the path of a file")
            if "uri" in url.query or url.database.startswith("file:"):
                raise ConfigurationError("give the ledger as a path: a file: address of SQLite names another file")
            _make_private(Path(url.database))
            engine = sa.create_engine(url, connect_args={} if "timeout" in url.query else {"timeout": BUSY_TIMEOUT_S})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin)
            return engine
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        return sa.create_engine(url, pool_pre_ping=True)
    except sa.exc.ArgumentError:
        raise ConfigurationError(_STRANGE) from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the ledger's database driver {error.name} is missing; pip install 'sparkfly-nb[postgres]'"
        ) from None


def _make_private(path: Path) -> None:
    try:
        make_private_file(path, with_folder=True)
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be used: {error.strerror}; give another path") from None


def _url_of(text: str) -> sa.URL:
    try:
        return sa.make_url(text) if "://" in text else sa.URL.create("sqlite", database=str(Path(text).expanduser()))
    except (sa.exc.ArgumentError, ValueError, RuntimeError):  # a port that is no number, a home that nobody has
        raise ConfigurationError(_STRANGE) from None


def make_tables(engine: sa.Engine) -> None:
    """Make the tables that are not there yet; of several processes that come at once, one makes them.

    Raises
    ------
    LedgerError
        The file holds tables of these names that this version would not make.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MAKING_LOCK)))
        metadata.create_all(connection)
        if connection.dialect.name == "sqlite":
            check_tables(connection, metadata)


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Let readers and one writer work side by side, and let nothing recorded get lost with the power."""
    raw: Any = connection
    raw.isolation_level = None
    try:
        _write_ahead(raw)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", "cell_size_check=ON"):
            raw.execute(f"PRAGMA {pragma}")
    except BaseException:
        raw.close()  # the pool does not know it yet
        raise


def _write_ahead(raw: Any) -> None:
    """Switch the file to a write-ahead log, once: SQLite does not wait by itself where two processes do so at once."""
    until = time.monotonic() + raw.execute("PRAGMA busy_timeout").fetchone()[0] / 1000
    while True:
        fault = sqlite3.OperationalError("where it lies SQLite can keep no write-ahead log; give another path")
        try:
            if raw.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal":
                return
        except sqlite3.OperationalError as busy:
            fault = busy
        if time.monotonic() > until:
            raise fault
        time.sleep(BUSY_LOOK_S)


def _begin(connection: sa.Connection) -> None:
    writing = connection.get_execution_options().get("writing", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
