"""A ledger file may come from anybody: its tables must be those that this version makes, and its cells of their kind.

A file that was handed over could otherwise carry triggers that plan again what was sent, or paths in place of ids. A
database server has owners and rights of its own, and keeps the types of its columns; there nothing is checked.
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

_KINDS: Final[tuple[tuple[type[Any], tuple[str, ...]], ...]] = (
    (sa.Text, ("text",)),
    (sa.Float, ("real", "integer")),
    (sa.types.TypeEngine, ("integer",)),
)
"""What SQLite calls the values of a column; the first type that fits."""


def check_tables(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Compare the tables of a SQLite file with new ones.

    Raises
    ------
    LedgerError
        A table is no table or has other columns, or something would happen by itself when it is written.
    """
    for name, wanted in _as_made(metadata).items():
        found = _described(connection, name)
        if found != wanted:
            raise LedgerError(
                f"what the ledger calls {name} was made by another version of sparkfly-nb, or changed since: "
                "nothing is read from it and nothing was sent. Give another path"
            )


@cache
def _as_made(metadata: sa.MetaData) -> dict[str, Any]:
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            metadata.create_all(connection)
            return {name: _described(connection, name) for name in metadata.tables}
    finally:
        engine.dispose()


def _described(connection: sa.Connection, name: str) -> Any:
    """Describe what there is under a name: its kind, its triggers, its columns and what they refer to."""
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
    """Make sure that every value of a table in a SQLite file is of the kind that its column promises.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        Where.
    table : sqlalchemy.Table
        The table.
    condition : sqlalchemy.ColumnElement, optional
        Which rows; all of them by default.

    Raises
    ------
    LedgerError
        One is not.
    """
    if connection.dialect.name != "sqlite":
        return
    query = sa.select(*table.primary_key.columns).where(sa.or_(*map(_is_strange, table.columns))).limit(1)
    found = connection.execute(query if condition is None else query.where(condition)).first()
    if found is not None:
        where = ", ".join(f"{name} {str(value)[:60]!r}" for name, value in found._mapping.items())  # noqa: SLF001
        raise LedgerError(
            f"the ledger is damaged, or was changed by hand: {table.name}, {where} holds a value that this package "
            "does not write. Nothing was sent"
        )


def _is_strange(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    kinds = next(kinds for kind, kinds in _KINDS if isinstance(column.type, kind))
    strange = sa.func.typeof(column).not_in(kinds + (("null",) if column.nullable else ()))
    if column.name != "payload":
        return strange
    # in this order: SQLite reads a text that is no JSON as an error
    is_object = sa.case((sa.func.json_valid(column) == 0, 0), else_=sa.func.json_type(column) == "object")
    return sa.or_(strange, sa.and_(column.is_not(None), is_object == 0))


def check_shards(run: str, bounds: Sequence[tuple[int, int]]) -> None:
    """Make sure that no row lies in two shards: it would be sent twice.

    Raises
    ------
    LedgerError
        One does.
    """
    ordered = sorted(bounds)
    if any(second[0] <= first[1] for first, second in pairwise(ordered)):
        raise LedgerError(f"the ledger is damaged, or was changed by hand: shards of run {run!r} overlap")
