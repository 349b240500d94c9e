"""One cell of a CSV file: exact, harmless in a spreadsheet, and what it was when it is read again.

- Whole numbers by their digits; times in ISO 8601, UTC, with a fraction only where there is one; flags as true and
  false; lists and objects as JSON; a missing value as nothing, an empty text as two quotes: other readers see no
  difference, this package does.
- A text that a spreadsheet could run as a formula gets an apostrophe in front, and so does one that begins with an
  apostrophe, so that taking one away restores either. NUL and half surrogates, which CSV cannot carry, are written as
  four hexadecimal digits in a text that begins with an apostrophe and a backslash.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ..errors import AuditFileError, InvalidInput
from .input_columns import kind_of, missing_in
from .output_columns import json_text, object_array
from .scalars import is_missing, shown, to_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ROW_END", "Memo", "cells_of", "edited_blocks", "text_cell", "text_of"]

ROW_END: Final = "\r\n"
"""As RFC 4180 has it."""
BLOCK_BYTES: Final = 1 << 20

PLAIN: Final = re.compile(r'[A-Za-z0-9\[{(][^",;\r\n\x00\ud800-\udfff]*')
"""Texts that are written as they are; all others get a second look."""
FORMULA: Final = re.compile(
    r"""[\t\r\n]|[\s"'`´‘’“”\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[=+\-@＝＋－＠]"""  # noqa: RUF001
)
"""How a text begins that a spreadsheet could run; some skip signs that cannot be seen."""
UNWRITABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
ESCAPED: Final = re.compile(r"\\(\\|u[0-9a-f]{4})")


# ---- one cell --------------------------------------------------------------------------------------------------------


def text_cell(text: str) -> str:
    """Write a text so that it comes back as it was and runs nowhere."""
    if PLAIN.fullmatch(text):
        return text
    if UNWRITABLE.search(text):
        escaped = UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\\", "\\\\"))
        text = f"'\\{escaped}"
    elif text.startswith("'") or FORMULA.match(text):
        text = f"'{text}"
    if not text or any(sign in text for sign in ',;"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


def text_of(cell: str) -> str:
    """Restore a text from its cell."""
    if cell.startswith("'\\"):
        return ESCAPED.sub(lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)), cell[2:])
    return cell.removeprefix("'")


def _any_cell(value: Any) -> str:
    """Write a value of a column that may hold anything."""
    if isinstance(value, (list, dict, tuple)):
        return text_cell(json_text(value))
    if is_missing(value):
        return ""
    write = next((write for kinds, write in _WRITERS if isinstance(value, kinds)), _shown_cell)
    try:
        return write(value)
    except InvalidInput:
        raise
    except (ValueError, RecursionError):  # a number of thousands of digits
        raise InvalidInput(f"{shown(value)} cannot be written") from None


def _shown_cell(value: object) -> str:
    return text_cell(str(value))


def _time_cell(value: dt.datetime) -> str:
    if value.tzinfo is None:
        raise InvalidInput(f"{value} has no time zone")
    return to_rfc3339(pd.Timestamp(value))


_WRITERS: Final[tuple[tuple[Any, Callable[[Any], str]], ...]] = (
    (str, text_cell),
    ((bool, np.bool_), lambda flag: "true" if flag else "false"),
    ((int, np.integer), lambda number: str(int(number))),
    ((float, np.floating), lambda number: repr(float(number))),
    (Decimal, lambda number: f"{number:f}"),
    (dt.datetime, _time_cell),
    ((dt.date, pd.Timedelta), lambda value: str(value.isoformat())),
)
"""How a single value is written, by its type; the first that fits."""


class Memo(dict[Any, Any]):
    """Remember what a function made of each key; most columns repeat a few values."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> Any:
        made = self[key] = self._make(key)
        return made


# ---- one column, to cells --------------------------------------------------------------------------------------------


def cells_of(series: pd.Series) -> list[str]:
    """Write the cells of a column by its dtype."""
    kind = kind_of(series)
    if kind == "M":
        return _time_cells(series)
    if kind == "O":
        values = series.tolist()
        if all(isinstance(value, str) or is_missing(value) for value in values):
            memo = Memo(text_cell)
            return [memo[value] if isinstance(value, str) else "" for value in values]
        return [_any_cell(value) for value in values]
    write, numpy_dtype, filler = _NUMBERS[kind]
    cells = list(map(write, series.to_numpy(dtype=numpy_dtype, na_value=filler).tolist()))
    for position in np.flatnonzero(missing_in(series)).tolist():
        cells[position] = ""
    return cells


_NUMBERS: Final[dict[str, tuple[Callable[[Any], str], Any, Any]]] = {
    "i": (str, np.int64, 0),
    "u": (str, np.uint64, 0),
    "f": (repr, np.float64, np.nan),
    "b": (lambda flag: "true" if flag else "false", np.bool_, False),
}


def _time_cells(series: pd.Series) -> list[str]:
    index = pd.DatetimeIndex(series)
    if index.tz is None:
        raise InvalidInput("the times have no time zone; localize the column first")
    stamps = index.tz_convert("UTC").tz_localize(None).to_numpy()
    texts = object_array(np.datetime_as_string(stamps.astype("datetime64[s]")).tolist(), len(stamps))
    # A fraction of three, six or nine digits would do; six or nine is what the rest of the package writes.
    for unit, coarser in (("us", "s"), ("ns", "us")):
        finer = stamps != stamps.astype(f"datetime64[{coarser}]")
        texts[finer] = np.datetime_as_string(stamps[finer].astype(f"datetime64[{unit}]")).tolist()
    cells: list[str] = [text + "Z" for text in texts]
    for position in np.flatnonzero(np.isnat(stamps)).tolist():
        cells[position] = ""
    return cells


# ---- the signs between cells -----------------------------------------------------------------------------------------


def edited_blocks(read: Callable[[int], bytes], sign: re.Pattern[bytes], edit: bytes) -> Iterator[bytes]:
    """Give a CSV file in blocks, with something else in place of each sign that is not part of a quoted text.

    Parameters
    ----------
    read : callable
        Gives up to so many bytes of the file, and none at its end.
    sign : pattern
        What is replaced; a sign holds a quote in pairs only, and no line break but at its end.
    edit : bytes
        What takes its place.

    Raises
    ------
    AuditFileError
        The file ends in the middle of a row.
    """
    rest, quoted = b"\n", False  # a line break in front, so that the first cell is like all others
    while more := read(BLOCK_BYTES):
        rest += more
        cut = rest.rfind(b"\n") + 1
        if cut == 1:
            continue
        block, rest = rest[:cut], b"\n" + rest[cut:]
        spans = np.array([match.span() for match in sign.finditer(block)], dtype=np.int64).reshape(-1, 2)
        quotes = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord('"'))
        # Every quoted text holds an even number of quotes, so an odd number in front means: within a text.
        outside = (np.searchsorted(quotes, spans[:, 0]) + quoted) % 2 == 0
        quoted = bool((len(quotes) + quoted) % 2)
        pieces, last = [], 1
        for start, end in spans[outside].tolist():
            pieces += [block[last:start], edit]
            last = end
        yield b"".join([*pieces, block[last:]])
    if quoted or len(rest) > 1:
        raise AuditFileError("the file ends in the middle of a row")
