"""One statement for many rows, without the dict per row that SQLAlchemy would make, check and take apart again."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import sqlalchemy as sa

__all__ = ["execute_for_rows"]


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
    parameters: list[Any]
    if compiled.positional:
        pick = itemgetter(*map(keys.index, compiled.positiontup or ()))
        parameters = [pick((*row, *ends)) for row in rows]
    else:
        parameters = [dict(zip(keys, (*row, *ends), strict=True)) for row in rows]
    if parameters:
        connection.exec_driver_sql(compiled.string, parameters)
