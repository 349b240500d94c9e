r"""Cells of a CSV file: exact, safe in a spreadsheet, and readable back to the same value.

- Whole numbers are digits. Times are ISO 8601 in UTC, with a fraction only if it is not zero. Flags are ``true`` and
  ``false``. Lists and objects are JSON.
- A missing value is an empty cell, and an empty text is two quotes. Only this package tells them apart.
- Texts that a spreadsheet could run as a formula get an apostrophe in front. Texts that start with an apostrophe get
  one more, so that removing one apostrophe restores both.
- NUL and unpaired surrogates cannot be written to a CSV file. A text with such characters starts with an apostrophe
  and a backslash, and has an escape such as ``\u0000`` in place of each.
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

#: The line ending of RFC 4180.
ROW_END: Final = "\r\n"
#: Number of bytes to read at once.
BLOCK_BYTES: Final = 1 << 20

#: Texts that are certainly safe and are written unchanged. All others are examined further.
PLAIN: Final = re.compile(r'[A-Za-z0-9\[{(][^",;\r\n\x00\ud800-\udfff]*')
#: The start of a text that a spreadsheet could run as a formula. Some spreadsheets skip invisible characters and quotes
#: in front of the operator, and some accept the full-width operators of East Asian keyboards.
FORMULA: Final = re.compile(
    r"""[\t\r\n]|[\s"'`´‘’“”\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[=+\-@＝＋－＠]"""  # noqa: RUF001
)
#: Characters that need an escape.
UNWRITABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
ESCAPED: Final = re.compile(r"\\(\\|u[0-9a-f]{4})")


# ---- one cell --------------------------------------------------------------------------------------------------------


def text_cell(text: str) -> str:
    """Return the cell for a text. No spreadsheet runs it, and `text_of` restores the text."""
    if PLAIN.fullmatch(text):
        return text
    if UNWRITABLE.search(text):
        escaped = UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\\", "\\\\"))
        text = f"'\\{escaped}"
    elif text.startswith("'") or FORMULA.match(text):
        text = f"'{text}"
    # The semicolon separates cells in some countries, and some readers strip spaces.
    if not text or any(character in text for character in ',;"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


def text_of(cell: str) -> str:
    """Return the text of a cell that `text_cell` wrote."""
    if cell.startswith("'\\"):
        return ESCAPED.sub(lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)), cell[2:])
    return cell.removeprefix("'")


def _any_cell(value: Any) -> str:
    """Return the cell for a value of any type."""
    if isinstance(value, (list, dict, tuple)):
        return text_cell(json_text(value))
    if is_missing(value):
        return ""
    write = next((write for kinds, write in _WRITERS if isinstance(value, kinds)), _shown_cell)
    try:
        return write(value)
    except InvalidInput:
        raise
    except (ValueError, RecursionError):  # Python refuses to print numbers of more than 4300 digits
        raise InvalidInput(f"{shown(value)} cannot be written") from None


def _shown_cell(value: object) -> str:
    return text_cell(str(value))


def _time_cell(value: dt.datetime) -> str:
    if value.tzinfo is None:
        raise InvalidInput(f"{value} has no time zone")
    return to_rfc3339(pd.Timestamp(value))


#: How to write a single value, by type. The first match counts: bool comes before int, and datetime before date.
_WRITERS: Final[tuple[tuple[Any, Callable[[Any], str]], ...]] = (
    (str, text_cell),
    ((bool, np.bool_), lambda flag: "true" if flag else "false"),
    ((int, np.integer), lambda number: str(int(number))),
    ((float, np.floating), lambda number: repr(float(number))),
    (Decimal, lambda number: f"{number:f}"),  # without an exponent
    (dt.datetime, _time_cell),
    ((dt.date, pd.Timedelta), lambda value: str(value.isoformat())),
)


class Memo(dict[Any, Any]):
    """Cache the results of a function. Most columns repeat a few values."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> Any:
        made = self[key] = self._make(key)
        return made


# ---- one column, to cells --------------------------------------------------------------------------------------------


def cells_of(series: pd.Series) -> list[str]:
    """Return the cells of a column."""
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
        raise InvalidInput("the times have no time zone; add one with .dt.tz_localize() first")
    stamps = index.tz_convert("UTC").tz_localize(None).to_numpy()
    texts = object_array(np.datetime_as_string(stamps.astype("datetime64[s]")).tolist(), len(stamps))
    # Fractions have six or nine digits, like everywhere else in the package.
    for unit, coarser in (("us", "s"), ("ns", "us")):
        finer = stamps != stamps.astype(f"datetime64[{coarser}]")
        texts[finer] = np.datetime_as_string(stamps[finer].astype(f"datetime64[{unit}]")).tolist()
    cells: list[str] = [text + "Z" for text in texts]
    for position in np.flatnonzero(np.isnat(stamps)).tolist():
        cells[position] = ""
    return cells


# ---- separators between cells ----------------------------------------------------------------------------------------


def edited_blocks(read: Callable[[int], bytes], pattern: re.Pattern[bytes], replacement: bytes) -> Iterator[bytes]:
    """Yield a CSV file in blocks, with each match of `pattern` outside of quoted texts replaced.

    Parameters
    ----------
    read : callable
        Returns up to the given number of bytes of the file, and none at the end.
    pattern : re.Pattern
        The separator or cell to replace. A match contains an even number of quotes, and a line break only at its end.
    replacement : bytes
        The replacement.

    Raises
    ------
    AuditFileError
        The file ends in the middle of a row.
    """
    rest, quoted = b"\n", False  # with a line break in front, the first cell looks like all others
    while more := read(BLOCK_BYTES):
        rest += more
        cut = rest.rfind(b"\n") + 1
        if cut == 1:
            continue
        # Blocks end with a line break, so that no match spans two blocks.
        block, rest = rest[:cut], b"\n" + rest[cut:]
        spans = np.array([match.span() for match in pattern.finditer(block)], dtype=np.int64).reshape(-1, 2)
        quotes = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord('"'))
        # A quoted text contains an even number of quotes. After an odd number, the position is inside a quoted text.
        outside = (np.searchsorted(quotes, spans[:, 0]) + quoted) % 2 == 0
        quoted = bool((len(quotes) + quoted) % 2)
        pieces, last = [], 1
        for start, end in spans[outside].tolist():
            pieces += [block[last:start], replacement]
            last = end
        yield b"".join([*pieces, block[last:]])
    if quoted or len(rest) > 1:
        raise AuditFileError("the file ends in the middle of a row")
