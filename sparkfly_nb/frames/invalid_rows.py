"""The error for bad cells in a user's frame, with row, column, value, problem and fix for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from ..errors import InvalidRows
from .output_columns import STRING, object_array
from .scalars import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["InvalidCell", "invalid_rows", "label_at"]

SHOWN_CELLS: Final = 3


class InvalidCell(NamedTuple):
    """One row of the report of an `InvalidRows` error."""

    #: The label in the index of the user's frame.
    row: object
    column: str
    value: object
    problem: str
    fix: str


def label_at(index: pd.Index, position: int) -> Any:
    """Return an index label as a plain Python value."""
    label = index[position]
    return label.item() if isinstance(label, np.generic) else label


def invalid_rows(lead: str, cells: Sequence[InvalidCell]) -> InvalidRows:
    """Build the error for bad cells. Its message shows the first three, and its report lists all of them.

    Parameters
    ----------
    lead : str
        The first line of the message.
    cells : sequence of InvalidCell
        The bad cells, at least one.
    """
    # Without explicit dtypes, pandas could choose Arrow strings, which cannot store unpaired surrogates, and could
    # turn the value 1 into 1.0.
    dtypes = [np.dtype(object) if name in ("row", "value") else STRING for name in InvalidCell._fields]
    report = pd.DataFrame(
        {
            name: pd.Series(object_array([cell[at] for cell in cells], len(cells)), dtype=dtypes[at])
            for at, name in enumerate(InvalidCell._fields)
        }
    )
    lines = [
        f"  row {shown(cell.row)}, column {cell.column}, {shown(cell.value)}: {cell.problem}; {cell.fix}"
        for cell in cells[:SHOWN_CELLS]
    ]
    if len(cells) > SHOWN_CELLS:
        lines.append(f"  and {len(cells) - SHOWN_CELLS} more; the error's .report lists all of them")
    return InvalidRows("\n".join([f"{lead}:", *lines]), report)
