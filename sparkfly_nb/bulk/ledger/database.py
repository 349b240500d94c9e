"""The ledger's database: a private SQLite file, or any address that SQLAlchemy understands."""

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
from .tables import metadata

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["default_path", "make_engine", "make_tables"]

#: How long SQLite waits for another writer before the ledger counts as locked. ``timeout`` in the address overrides it.
BUSY_TIMEOUT_S: Final = 30
BUSY_LOOK_S: Final = 0.02

#: The key of the PostgreSQL advisory lock under which tables are created. Any fixed number works.
MAKING_LOCK: Final = 0x5F4C_ED6E

_UNREADABLE: Final = "ledger is neither a path nor an address that SQLAlchemy understands"


def default_path() -> Path:
    """Return the path of the default ledger in the user's data directory."""
    return Path(platformdirs.user_data_dir("sparkfly_nb", appauthor=False)) / "ledger.db"


def make_engine(ledger: str | None) -> sa.Engine:
    """Build the engine of a ledger, without connecting.

    Parameters
    ----------
    ledger : str or None
        The path of a SQLite file, an address that SQLAlchemy understands, or None for the user's default ledger.

    Raises
    ------
    ConfigurationError
        The address cannot be used.
    LedgerError
        The file cannot be created, or is not private.
    """
    url = _url_of(str(ledger) if ledger is not None else str(default_path()))
    try:
        if url.get_backend_name() == "sqlite":
            if not url.database or url.database == ":memory:":
                raise ConfigurationError("a ledger in memory would be lost with the kernel; use the path of a file")
            # SQLite would open another file than the one that is made private below.
            if "uri" in url.query or url.database.startswith("file:"):
                raise ConfigurationError("the ledger cannot be a file: address of SQLite; use the path of the file")
            _make_private(Path(url.database))
            engine = sa.create_engine(url, connect_args={} if "timeout" in url.query else {"timeout": BUSY_TIMEOUT_S})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin)
            return engine
        # SQLAlchemy would choose psycopg2, and the postgres extra installs psycopg 3.
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        # A server closes idle connections: pre_ping replaces them before they are used.
        return sa.create_engine(url, pool_pre_ping=True)
    except sa.exc.ArgumentError:
        raise ConfigurationError(_UNREADABLE) from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the ledger's database driver {error.name} is missing; pip install 'sparkfly-nb[postgres]'"
        ) from None


def _make_private(path: Path) -> None:
    try:
        make_private_file(path, with_folder=True)
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be used: {error.strerror}; use another path") from None


def _url_of(text: str) -> sa.URL:
    try:
        return sa.make_url(text) if "://" in text else sa.URL.create("sqlite", database=str(Path(text).expanduser()))
    # ValueError: the port is not a number. RuntimeError: no user has the home directory after the tilde.
    # The text may contain a password, so the error does not repeat it.
    except (sa.exc.ArgumentError, ValueError, RuntimeError):
        raise ConfigurationError(_UNREADABLE) from None


def make_tables(engine: sa.Engine) -> None:
    """Create the tables that do not exist yet.

    Raises
    ------
    LedgerError
        The SQLite file contains tables of these names that this version would not create.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # Two processes may find no tables at the same time: the second one waits here.
            # SQLite needs no lock of its own, because its transaction begins with BEGIN IMMEDIATE.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MAKING_LOCK)))
        metadata.create_all(connection)
        if connection.dialect.name == "sqlite":
            check_tables(connection, metadata)


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Set up a new connection: concurrent readers, durable commits, no trust in the file's schema."""
    raw: Any = connection
    raw.isolation_level = None  # sqlite3 must not open transactions on its own; _begin does
    try:
        _write_ahead(raw)
        for pragma in (
            "synchronous=FULL",  # a commit survives a power failure: a sent row must not look unsent afterwards
            "foreign_keys=ON",
            "trusted_schema=OFF",  # the file may come from somebody else
            "cell_size_check=ON",  # report damaged pages instead of reading them
        ):
            raw.execute(f"PRAGMA {pragma}")
    except BaseException:
        raw.close()  # the pool does not know the connection yet, so nobody else would close it
        raise


def _write_ahead(raw: Any) -> None:
    """Switch the file to a write-ahead log, so that readers do not wait for the writer."""
    # SQLite ignores its own timeout when two processes switch at the same time, so wait and retry here.
    until = time.monotonic() + raw.execute("PRAGMA busy_timeout").fetchone()[0] / 1000
    while True:
        fault = sqlite3.OperationalError("SQLite cannot keep a write-ahead log in this folder; use another path")
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
    # A writer takes the write lock at once: a transaction that reads first and writes later fails without waiting
    # when another process has written in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
