"""The error for cells of a person's frame that cannot be used: row, column, value, problem and fix of each."""

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
    """One line of the report of an `InvalidRows`."""

    row: object  # the label in the person's index
    column: str
    value: object
    problem: str
    fix: str


def label_at(index: pd.Index, position: int) -> Any:
    """Give a label as Python shows it."""
    label = index[position]
    return label.item() if isinstance(label, np.generic) else label


def invalid_rows(lead: str, cells: Sequence[InvalidCell]) -> InvalidRows:
    """Make the error that names each wrong cell: the first few in its text, all of them in its report.

    Parameters
    ----------
    lead : str
        What is wrong as a whole.
    cells : sequence of InvalidCell
        At least one.
    """
    # Dtypes are named: pandas would make Arrow's texts of some, which cannot hold half surrogates, and 1.0 of 1.
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
        lines.append(f"  and {len(cells) - SHOWN_CELLS} more in the error's .report")
    return InvalidRows("\n".join([f"{lead}:", *lines]), report)
