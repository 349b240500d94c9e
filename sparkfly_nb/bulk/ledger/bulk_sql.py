"""Many rows in and out of the ledger, without what SQLAlchemy and Python's SQLite do for each of them.

SQLAlchemy makes a dict per row, checks it and takes it apart again. Python's SQLite gives up the interpreter's lock for
each row, and the thread that sends takes it: the ledger would wait for the wire, and the wire for the ledger.
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

GROUP_PARAMETERS: Final = 900
"""Parameters of one statement: every build of SQLite allows 999."""


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
        Where.
    statement : sqlalchemy.Insert or sqlalchemy.Update
        An insert, or an update with ``bindparam`` for what differs from row to row.
    names : sequence of str
        The parameters that a row gives, in its order.
    rows : iterable of sequences
        The rows; values are handed to the driver as they are.
    **fixed
        Further parameters, which are the same for all rows.
    """
    keys = [*names, *fixed]
    compiled = statement.compile(dialect=connection.dialect, column_keys=keys)
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
        size = GROUP_PARAMETERS // len(keys)
        whole = len(parameters) - len(parameters) % size
        groups = [tuple(chain.from_iterable(parameters[first : first + size])) for first in range(0, whole, size)]
        head, row, tail = _parted(sql)
        if groups:
            connection.exec_driver_sql(head + ", ".join([row] * size) + tail, groups)
        parameters = parameters[whole:]
    if parameters:
        connection.exec_driver_sql(sql, parameters)


def _parted(insert: str) -> tuple[str, str, str]:
    """Part an insert into what stands before the values of its row, these values, and the rest."""
    head, values, rest = insert.partition(" VALUES ")
    row, bracket, tail = rest.partition(")")
    return head + values, row + bracket, tail


def rows_at_once(connection: sa.Connection, query: sa.Select[Any]) -> Sequence[Sequence[Any]]:
    """Give all rows of a query for numbers and texts, sorted by the first column, which tells them apart."""
    if connection.dialect.name != "sqlite":
        return sorted(connection.execute(query))
    columns = query.subquery().c
    as_json = sa.select(sa.func.json_group_array(sa.func.json_array(*columns)))
    rows: list[list[Any]] = orjson.loads(connection.execute(as_json).scalar_one())
    return sorted(rows)
