"""The tables of columns agree with each other and with the operations that use them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sparkfly_nb import schema
from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.schema import CONTROL, DTYPES, INT64_MAX, INT64_MIN, OUTCOMES, PAYLOAD

TABLES = ["OFFER_STATE", "PAYLOAD", "RECEIPT", "RESULT", "UNREAD", "VOIDED"]


@pytest.mark.parametrize("name", TABLES)
def test_tables_use_only_the_known_dtypes(name):
    assert set(getattr(schema, name).values()) <= DTYPES


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_dtypes_are_pandas_dtypes(dtype):
    assert str(pd.Series([], dtype=dtype).dtype) == dtype


def test_columns_have_the_same_dtype_in_all_tables():
    dtypes = {}
    for name in TABLES:
        for column, dtype in getattr(schema, name).items():
            dtypes.setdefault(column, set()).add(dtype)

    # The service calls both the number and the XID of a campaign "campaign_id".
    assert {column for column, found in dtypes.items() if len(found) > 1} == {"campaign_id"}


def test_every_operation_has_an_outcome_for_success():
    assert {operation.done for operation in OPERATIONS.values()} <= set(OUTCOMES)


def test_every_column_of_an_operation_is_in_the_payload_table():
    assert {column for operation in OPERATIONS.values() for column in operation.columns} <= set(PAYLOAD)


def test_int64_limits_are_those_of_pandas():
    limits = np.iinfo(pd.Int64Dtype().numpy_dtype)

    assert (limits.min, limits.max) == (INT64_MIN, INT64_MAX)


@pytest.mark.parametrize("character", ["\x00", "\t", "\n", "\x1f", "\x7f"])
def test_control_finds_control_characters(character):
    assert CONTROL.search(f"a{character}b")


@pytest.mark.parametrize("character", [" ", "ä", "\u2028", "😀"])
def test_control_ignores_other_characters(character):
    assert not CONTROL.search(f"a{character}b")
