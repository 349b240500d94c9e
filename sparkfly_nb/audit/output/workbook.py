"""Write an audit as one Parquet file or one Excel workbook."""

from __future__ import annotations

import io
import itertools
import re
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ...errors import AuditFileError, ConfigurationError, InvalidInput
from ...files import replacing
from ...frames.output_columns import json_text
from ...frames.scalars import to_rfc3339
from ...schema import LIST, OFFER_STATE
from .folder_writer import described

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ..audit_data import AuditData

__all__ = ["write_excel", "write_parquet"]

#: The maximum number of rows on a sheet of Excel, without the header.
SHEET_ROWS: Final = 1_048_575
#: The maximum number of characters in a cell of Excel.
CELL_CHARACTERS: Final = 32_767
#: Excel stores 15 digits of a number. Integers from this size on are written as text.
EXACT_BELOW: Final = 10**15
#: Characters that XML, and therefore a workbook, cannot contain. They are written as escape sequences.
UNWRITABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
CUT: Final = " ... (cut at Excel's limit; the CSV export has the full text)"


def write_parquet(audit: AuditData, path: Path) -> Path:
    """Write the offer states chunk by chunk; see `Audit.to_parquet`."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError('writing Parquet needs pyarrow: pip install "sparkfly-nb[parquet]"') from None
    kinds = {
        "Int64": pa.int64(),
        "Float64": pa.float64(),
        "boolean": pa.bool_(),
        "string": pa.large_string(),
        "object": pa.large_string(),
        "datetime64[ns, UTC]": pa.timestamp("ns", tz="UTC"),
    }
    columns = OFFER_STATE | audit.store.extra
    schema = pa.schema([(name, kinds[dtype]) for name, dtype in columns.items()])
    try:
        with replacing(path) as aside, parquet.ParquetWriter(aside, schema) as writer:
            for chunk in audit.store.chunks():
                writer.write_table(pa.Table.from_pandas(_lists_as_json(chunk), schema=schema, preserve_index=False))
    except pa.ArrowException as error:
        raise AuditFileError(f"{path} was not written: {error}. No partial file is left.") from None
    return path


def _lists_as_json(chunk: pd.DataFrame) -> pd.DataFrame:
    lists = [name for name in chunk.columns if str(chunk[name].dtype) == LIST]
    return chunk.assign(**{name: chunk[name].map(json_text, na_action="ignore") for name in lists})


def write_excel(audit: AuditData, path: Path) -> Path:
    """Write a workbook; see `Audit.to_excel`."""
    try:
        from openpyxl import Workbook  # noqa: PLC0415 - optional
        from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError('writing Excel needs openpyxl: pip install "sparkfly-nb[excel]"') from None
    rows = max(len(audit.store), audit.store.count_events())
    if rows > SHEET_ROWS:
        raise InvalidInput(
            f"to_excel: {rows:,} rows do not fit on a sheet of at most {SHEET_ROWS:,} rows. Use to_csv or to_parquet."
        )
    sheets: dict[str, Iterable[pd.DataFrame]] = {
        "summary": [audit.summary()],
        "exceptions": [audit.exceptions()],
        "timeline": [audit.timeline()],
        "states": itertools.chain([audit.store.empty()], audit.store.chunks()),
        "activities": audit.store.event_chunks(),
        "unread": [audit.unread],
        "about": [_about(audit)],
    }
    book = Workbook(write_only=True)
    for title, parts in sheets.items():
        sheet = book.create_sheet(title)
        sheet.freeze_panes = "A2"
        for number, part in enumerate(parts):
            if number == 0:
                sheet.append(_row(sheet, WriteOnlyCell, part.columns))
            for cells in _cells(part):
                sheet.append(_row(sheet, WriteOnlyCell, cells))
    workbook = io.BytesIO()  # after a failed write to disk, openpyxl leaves its temporary files open
    book.save(workbook)
    with replacing(path) as aside:
        aside.write_bytes(workbook.getvalue())  # Python 3.12.1 crashes if an error keeps a getbuffer() view
    return path


def _about(audit: AuditData) -> pd.DataFrame:
    metadata = described(audit)
    metadata = {name: json_text(value) if isinstance(value, dict) else value for name, value in metadata.items()}
    return pd.DataFrame({"what": list(metadata), "value": [None if v is None else str(v) for v in metadata.values()]})


def _cells(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    return zip(*(_column(frame[name]) for name in frame.columns), strict=True) if len(frame) else iter(())


def _column(cells: pd.Series) -> list[Any]:
    return [_cell(value) for value in cells.astype("object")]


def _cell(value: Any) -> Any:
    """Convert a value for a workbook, so that Excel does not round it."""
    if isinstance(value, list):
        return _text(json_text(value))
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return to_rfc3339(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= EXACT_BELOW:
        return str(value)
    return value


def _text(text: str) -> str:
    text = UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - len(CUT)] + CUT


def _row(sheet: Any, kind: Any, values: Iterable[Any]) -> list[Any]:
    """Create the cells of a row."""
    cells = []
    for value in values:
        cell = kind(sheet, value=value)
        if isinstance(value, str):
            cell.data_type = "s"  # otherwise openpyxl writes text that begins with "=" as a formula
        cells.append(cell)
    return cells
