"""Ways to write a column of whole numbers, texts or flags. `time_writers` has those for times."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from any_column import (
    BAD,
    CONTROLS,
    HUGE,
    INT64,
    LONG,
    NO_TEXTS,
    NO_VALUES,
    NOTHINGS,
    SHOWN_TEXTS,
    SURROGATES,
    Word,
    Writer,
    arrow_column,
    category_column,
    dtype_column,
    junk_writer,
    masked_column,
    read_only_column,
    unchanged,
)
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# ---- whole numbers ---------------------------------------------------------------------------------------------------


def any_number(low: int, high: int) -> st.SearchStrategy[int]:
    """Draw any number of a range, and often one of a few, so that columns have duplicates."""
    edges = [edge for edge in (low, high, 2**53, 2**53 + 1, -(2**53) - 1) if low <= edge <= high]
    return st.integers(max(low, 0), min(high, 9)) | st.integers(low, high) | st.sampled_from(edges)


def numbers_among(ids: Sequence[int]) -> Callable[[int, int], st.SearchStrategy[int] | None]:
    """Draw only these numbers, in the dtypes that can store all of them."""
    return lambda low, high: st.sampled_from(list(ids)) if low <= min(ids) and max(ids) <= high else None


def number_writers(pool: Any = any_number) -> list[Writer]:
    """Return every way to write a column of whole numbers."""
    writers = []

    def add(
        name: str, bounds: tuple[int, int], make: Any, spell: Any = int, nothing: Any = None, bad: Any = None
    ) -> None:
        numbers = pool(max(bounds[0], INT64[0]), min(bounds[1], INT64[1]))
        if numbers is not None:
            good = st.tuples(numbers, st.integers(0, 9)).map(lambda pair: (spell(pair[0]), pair[0]))
            writers.append(Writer(name, good, make, nothing, bad))

    for size in (8, 16, 32, 64):
        signed, unsigned = (-(2 ** (size - 1)), 2 ** (size - 1) - 1), (0, 2**size - 1)
        over = st.integers(2**63, 2**64 - 1) if size == 64 else None
        add(f"int{size}", signed, dtype_column(f"int{size}"))
        add(f"uint{size}", unsigned, dtype_column(f"uint{size}"), bad=over)
        add(f"Int{size}", signed, dtype_column(f"Int{size}"), nothing=st.none())
        add(f"UInt{size}", unsigned, masked_column(f"uint{size}"), nothing=st.none(), bad=over)
        add(f"arrow int{size}", signed, arrow_column(getattr(pa, f"int{size}")()), nothing=st.none())
        add(f"arrow uint{size}", unsigned, arrow_column(getattr(pa, f"uint{size}")()), nothing=st.none(), bad=over)
    for name, bits, arrow in (("float16", 11, None), ("float32", 24, pa.float32()), ("float64", 53, pa.float64())):
        exact = (-(2**bits) + 1, 2**bits - 1)
        bad = st.sampled_from((0.5, -1.5, float("inf"), float("-inf"), 2.0**bits, 2.0 ** (bits + 1)))
        add(name, exact, dtype_column(name), float, st.just(float("nan")), bad)
        if arrow is not None:
            add(name.title(), exact, dtype_column(name.title()), float, st.none(), bad)
            add(f"arrow {name}", exact, arrow_column(arrow), float, st.none(), bad)
    add(
        "longdouble", (-(2**53) + 1, 2**53 - 1), dtype_column(np.longdouble), float, st.just(float("nan")), st.just(0.5)
    )
    add("read-only int64", INT64, read_only_column("int64"))
    add("read-only float64", (0, 2**53 - 1), read_only_column("float64"), float, st.just(float("nan")), st.just(1.5))
    add("Sparse[int64]", INT64, dtype_column(pd.SparseDtype("int64", 0)))
    add(
        "Sparse[float64]",
        (0, 2**53 - 1),
        dtype_column(pd.SparseDtype("float64")),
        float,
        st.just(float("nan")),
        st.just(1.5),
    )
    add(
        "arrow decimal",
        INT64,
        arrow_column(pa.decimal128(25, 1)),
        Decimal,
        st.none(),
        st.sampled_from((Decimal("0.5"), Decimal(2**63))),
    )
    add("category of numbers", INT64, category_column("int64"), nothing=st.none())
    no_digits = st.sampled_from(
        ("", " ", "x", "1.5", "1e3", "0x1F", "1,000", "1_000", "٣", "\u00b2", "9" * 19, "True", "nan")
    )
    for name, make in TEXT_COLUMNS:
        add(f"{name} of digits", INT64, make, str, st.none(), no_digits)
    add("category of digits", INT64, category_column(object), str, st.none(), no_digits)
    spellings = (
        int, str, Decimal, np.int64, np.str_, lambda n: f" {n} ", lambda n: f"{n}.0", lambda n: f"{n}.00",
        lambda n: float(n) if abs(n) < 2**53 else n, lambda n: f"+{n}" if n >= 0 else str(n),
        lambda n: Decimal(f"{n}.0"),
        lambda n: f"00{n}" if 0 <= n < 10**9 else n,
    )  # fmt: skip
    mixed = pool(*INT64)
    if mixed is not None:
        good = st.tuples(mixed, st.sampled_from(spellings)).map(lambda pair: (pair[1](pair[0]), pair[0]))
        bad = (
            NO_VALUES
            | HUGE
            | SURROGATES
            | no_digits
            | st.booleans()
            | st.sampled_from((np.True_, pd.Timestamp(0), dt.date(2026, 1, 1)))
        )
        writers.append(Writer("object, mixed numbers", good, dtype_column(object), NOTHINGS, bad))
    writers += [
        junk_writer("bool as a number", (True, False), "bool"),
        junk_writer("boolean as a number", (True, False), "boolean"),
        junk_writer("datetime64 as a number", (pd.Timestamp(0), pd.Timestamp("2026-01-01")), "datetime64[ns]"),
        junk_writer("timedelta64 as a number", (pd.Timedelta("1s"),), "timedelta64[ns]"),
        junk_writer("period as a number", (pd.Period("2026-01", "M"),), "period[M]"),
        junk_writer("complex as a number", (1 + 0j, 2j), "complex128"),
        Writer("arrow duration as a number", st.just((5, BAD)), arrow_column(pa.duration("s")), st.none()),
        Writer(
            "arrow struct as a number",
            st.just(({"a": 1}, BAD)),
            arrow_column(pa.struct([("a", pa.int64())])),
            st.none(),
        ),
        Writer("arrow list as a number", st.just(([1], BAD)), arrow_column(pa.list_(pa.int64())), st.none()),
    ]
    return writers


# ---- texts -----------------------------------------------------------------------------------------------------------

TEXT_COLUMNS: tuple[tuple[str, Callable[[list[Any]], pd.Series]], ...] = (
    ("string[python]", dtype_column(pd.StringDtype("python"))),
    ("string[pyarrow]", dtype_column(pd.StringDtype("pyarrow"))),
    ("str", dtype_column("str") if pd.Series(["x"]).dtype == "str" else dtype_column(object)),
    ("arrow string", arrow_column(pa.string())),
    ("arrow large_string", arrow_column(pa.large_string())),
    ("arrow dictionary", arrow_column(pa.dictionary(pa.int32(), pa.string()))),
)


AS_TEXT = {
    "int64", "Int64", "float64", "Float32", "uint64", "arrow int64", "Sparse[int64]", "complex as a number",
    "bool as a number", "category of numbers", "period as a number",
}  # fmt: skip


def text_writers(texts: st.SearchStrategy[str] = SHOWN_TEXTS, numbers: Any = any_number) -> list[Writer]:
    """Return every way to write a column of texts, including whole numbers for their digits."""
    writable = CONTROLS | st.sampled_from(("", "  ", "\u2003"))
    writers = [Writer(name, unchanged(texts), make, st.none(), writable) for name, make in TEXT_COLUMNS]
    writers.append(Writer("category of texts", unchanged(texts), category_column(object), st.none(), NO_TEXTS))
    writers.append(
        Writer(
            "string[python], any text", unchanged(texts), dtype_column(pd.StringDtype("python")), st.none(), NO_TEXTS
        )
    )
    spelled = texts.map(np.str_).map(lambda text: (text, str(text)))
    mixed = unchanged(texts) | spelled
    if numbers is any_number:
        mixed |= st.just((Word.GOLD, "gold"))
    whole = numbers(*INT64)
    if whole is not None:
        mixed |= whole.map(lambda n: (n, str(n))) | whole.map(lambda n: (Decimal(n), str(n)))
    bad = NO_VALUES | NO_TEXTS | LONG | st.booleans() | st.sampled_from((pd.Timestamp(0), dt.date(2026, 1, 1)))
    writers.append(Writer("object, mixed texts", mixed, dtype_column(object), NOTHINGS, bad))
    for writer in number_writers(numbers):
        if writer.name in AS_TEXT:
            as_digits = writer.good.map(lambda cell: (cell[0], cell[1] if cell[1] is BAD else str(cell[1])))
            writers.append(Writer(f"{writer.name} as text", as_digits, writer.make, writer.nothing, writer.bad))
    return writers


# ---- flags -----------------------------------------------------------------------------------------------------------


def flag_writers() -> list[Writer]:
    """Return every way to write a column of flags. 0, 1 and texts are bad."""
    flags = unchanged(st.booleans())
    other = NO_VALUES | SURROGATES | LONG | st.sampled_from((0, 1, 1.0, "true", "False", "", pd.Timestamp(0)))
    return [
        Writer("bool", flags, dtype_column("bool")),
        Writer("read-only bool", flags, read_only_column("bool")),
        Writer("boolean", flags, dtype_column("boolean"), st.none()),
        Writer("arrow bool", flags, arrow_column(pa.bool_()), st.none()),
        Writer("Sparse[bool]", flags, dtype_column(pd.SparseDtype("bool", False))),
        Writer("category of flags", flags, category_column(object), st.none()),
        Writer(
            "object, mixed flags",
            flags | flags.map(lambda pair: (np.bool_(pair[0]), pair[1])),
            dtype_column(object),
            NOTHINGS,
            other,
        ),
        junk_writer("int64 as a flag", (0, 1), "int64"),
        junk_writer("Float64 as a flag", (0.0, 1.0), "Float64"),
        junk_writer("texts as a flag", ("true", "no"), pd.StringDtype("python")),
    ]
