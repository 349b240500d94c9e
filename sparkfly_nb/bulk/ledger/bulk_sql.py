"""Fast reads and writes of many ledger rows.

SQLAlchemy builds, checks and unpacks a dict for each row. Python's sqlite3 releases the interpreter lock for each row,
and the thread that sends requests takes the lock: the ledger and the requests would keep waiting for each other.
The functions below therefore pass many rows to the database driver in one call.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["execute_for_rows", "rows_at_once"]

#: Parameters of one statement. Every build of SQLite allows at least 999.
GROUP_PARAMETERS: Final = 900


def execute_for_rows(
    connection: sa.Connection,
    statement: sa.Insert | sa.Update,
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    **fixed: Any,
) -> None:
    """Execute a statement once for each row.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        The connection to use.
    statement : sqlalchemy.Insert or sqlalchemy.Update
        An insert, or an update with ``bindparam`` for the values that differ between rows.
    names : sequence of str
        The parameters that each row supplies, in the order of its values.
    rows : iterable of sequences
        The rows. Values go to the database driver without conversion.
    **fixed
        Parameters with the same value for all rows.
    """
    keys = [*names, *fixed]
    compiled = statement.compile(dialect=connection.dialect, column_keys=keys)
    # SQLAlchemy adds parameters of its own, such as the literals of a WHERE clause.
    fixed |= {name: value for name, value in compiled.params.items() if name not in keys}
    keys, ends = [*names, *fixed], tuple(fixed.values())
    sql, parameters = compiled.string, [(*row, *ends) for row in rows]
    if not compiled.positional:
        named = [dict(zip(keys, values, strict=True)) for values in parameters]
        if named:
            connection.exec_driver_sql(sql, named)
        return
    parameters = list(map(itemgetter(*map(keys.index, compiled.positiontup or ())), parameters))
    if isinstance(statement, sa.Insert) and connection.dialect.name == "sqlite":
        # One VALUES list for many rows: the lock is released once for each group, not once for each row.
        size = GROUP_PARAMETERS // len(keys)
        whole = len(parameters) - len(parameters) % size
        groups = [tuple(chain.from_iterable(parameters[first : first + size])) for first in range(0, whole, size)]
        head, row, tail = _split_insert(sql)
        if groups:
            connection.exec_driver_sql(head + ", ".join([row] * size) + tail, groups)
        parameters = parameters[whole:]
    if parameters:
        connection.exec_driver_sql(sql, parameters)


def _split_insert(insert: str) -> tuple[str, str, str]:
    """Split an insert into the text before the row's values, these values, and the rest."""
    head, values, rest = insert.partition(" VALUES ")
    row, bracket, tail = rest.partition(")")
    return head + values, row + bracket, tail


def rows_at_once(connection: sa.Connection, query: sa.Select[Any]) -> Sequence[Sequence[Any]]:
    """Return all rows of a query, sorted by the first column, which must be unique. Values must be numbers or texts."""
    if connection.dialect.name != "sqlite":
        return sorted(connection.execute(query))
    # SQLite builds one JSON document: Python reads a single cell instead of a row at a time.
    columns = query.subquery().c
    as_json = sa.select(sa.func.json_group_array(sa.func.json_array(*columns)))
    rows: list[list[Any]] = orjson.loads(connection.execute(as_json).scalar_one())
    return sorted(rows)
