"""Read a CSV file like a spreadsheet, and recognize cells that a spreadsheet would run as a formula."""

from __future__ import annotations

import csv
import re

#: The full-width forms of = + - @, as Japanese keyboards write them.
FULL_WIDTH = ["\uff1d", "\uff0b", "\uff0d", "\uff20"]
#: The start of a cell that a spreadsheet could run as a formula.
RUNS = re.compile(rf"[\s\"'\x00-\x1f\u200b-\u200f\u202a-\u202e\ufeff]*[=+\-@{''.join(FULL_WIDTH)}]|[\t\r\n]")


def rows_as_a_spreadsheet_reads_them(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))
