"""Checks of a SQLite ledger file, which may come from somebody else.

Without them, a file could contain triggers that set sent rows back to planned, or URL paths in place of ids. A
database server has its own permissions and enforces its column types, so nothing is checked there.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from ...errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_cells", "check_shards", "check_tables"]

# What SQLite's typeof() may return for a column. The first type that matches counts.
_KINDS: Final[tuple[tuple[type[Any], tuple[str, ...]], ...]] = (
    (sa.Text, ("text",)),
    (sa.Float, ("real", "integer")),
    (sa.types.TypeEngine, ("integer",)),
)


def check_tables(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Check that the tables of a SQLite file are those that this version would create.

    Raises
    ------
    LedgerError
        A name belongs to something other than a table, a table has other columns, or a trigger fires on it.
    """
    for name, wanted in _new_tables(metadata).items():
        found = _described(connection, name)
        if found != wanted:
            raise LedgerError(
                f"the ledger's table {name} was made by another version of sparkfly-nb, or was changed since. "
                "Nothing was read from it and nothing was sent. Use another ledger file"
            )


@cache
def _new_tables(metadata: sa.MetaData) -> dict[str, Any]:
    """Describe the tables as this version creates them, by name."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            metadata.create_all(connection)
            return {name: _described(connection, name) for name in metadata.tables}
    finally:
        engine.dispose()


def _described(connection: sa.Connection, name: str) -> Any:
    """Describe a name of the database: its kind, its triggers, its columns and its foreign keys."""
    # Indexes are left out: they cannot change what the ledger records.
    there = connection.execute(
        sa.text(
            "SELECT type, name, CASE type WHEN 'table' THEN sql LIKE 'CREATE VIRTUAL%' END FROM sqlite_master "
            "WHERE lower(tbl_name) = :name AND type <> 'index' ORDER BY type, name"
        ),
        {"name": name},
    ).all()
    columns, references = (
        connection.execute(sa.select(sa.text("*")).select_from(pragma(name))).all()
        for pragma in (sa.func.pragma_table_xinfo, sa.func.pragma_foreign_key_list)
    )
    return list(map(tuple, there)), list(map(tuple, columns)), sorted(map(tuple, references))


def check_cells(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool] | None = None) -> None:
    """Check that every value in a SQLite table has the type of its column.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        The connection to use.
    table : sqlalchemy.Table
        The table.
    condition : sqlalchemy.ColumnElement, optional
        Which rows to check. The default is all rows.

    Raises
    ------
    LedgerError
        A value has another type.
    """
    # SQLite accepts any type in any column.
    if connection.dialect.name != "sqlite":
        return
    query = sa.select(*table.primary_key.columns).where(sa.or_(*map(_has_wrong_type, table.columns))).limit(1)
    found = connection.execute(query if condition is None else query.where(condition)).first()
    if found is not None:
        where = ", ".join(f"{name} {str(value)[:60]!r}" for name, value in found._mapping.items())  # noqa: SLF001
        raise LedgerError(
            f"the ledger is damaged, or was changed by hand: {table.name}, {where} contains a value that this "
            "package does not write. Nothing was sent"
        )


def _has_wrong_type(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    kinds = next(kinds for kind, kinds in _KINDS if isinstance(column.type, kind))
    is_wrong = sa.func.typeof(column).not_in(kinds + (("null",) if column.nullable else ()))
    if column.name != "payload":
        return is_wrong
    # json_valid comes first: json_type raises an error for text that is not JSON
    is_object = sa.case((sa.func.json_valid(column) == 0, 0), else_=sa.func.json_type(column) == "object")
    return sa.or_(is_wrong, sa.and_(column.is_not(None), is_object == 0))


def check_shards(run: str, bounds: Sequence[tuple[int, int]]) -> None:
    """Check that no two shards overlap: rows in both would be sent twice.

    Raises
    ------
    LedgerError
        Two shards overlap.
    """
    ordered = sorted(bounds)
    if any(second[0] <= first[1] for first, second in pairwise(ordered)):
        raise LedgerError(f"the ledger is damaged, or was changed by hand: shards of run {run!r} overlap")
