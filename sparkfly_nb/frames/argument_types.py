"""The types of what users pass to public methods, each named and described once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

__all__ = ["FieldValue", "Id", "Ids", "MemberIds", "Members", "TimeLike"]

#: An ID: a whole number, or its digits as text.
Id: TypeAlias = int | str | np.integer[Any]

#: A point in time: ISO 8601 text, a `datetime` or `pandas.Timestamp`, or a `numpy.datetime64`. A time without an
#: offset, such as a `date`, is refused unless the Session has ``tz``.
TimeLike: TypeAlias = str | dt.date | np.datetime64

#: The value of one input of an operation, as a form is filled with it.
FieldValue: TypeAlias = Id | TimeLike | bool | None


class Ids(Protocol):
    """A collection of IDs, such as a list, tuple or set.

    A single text is not such a collection. Its ``__contains__`` accepts only text, so type checkers refuse it here.
    """

    def __contains__(self, value: object, /) -> bool: ...

    def __iter__(self) -> Iterator[Id]: ...

    def __len__(self) -> int: ...


#: Member IDs: a DataFrame with a column ``member_id``, or a Series, Index, array or other collection of IDs.
MemberIds: TypeAlias = (
    "pd.DataFrame | pd.Series | pd.Index | pd.api.extensions.ExtensionArray | np.ndarray[Any, Any] | Ids"
)

#: The members of an audit: `MemberIds`, or the path of a CSV or Parquet file.
Members: TypeAlias = "MemberIds | str | Path"
