"""DataFrames in and out: reading the columns that users supply, and building the typed frames that come back.

From users to the service:

- `scalars`: read one ID, number, flag, text or time, and format it for the API.
- `input_columns`: read one column of a user's frame, with a problem for each bad cell.
- `invalid_rows`: build the error that lists the bad cells.

From the service to users:

- `output_columns`: turn one field of many records into numpy arrays and pandas dtypes.
- `builder`: build a frame from the records of many pages.
- `lifecycle`: decide whether an offer state is open, redeemed, expired or voided.

To and from CSV files:

- `csv_cells`: the format of one cell. Start here to see how formulas are neutralized.
- `csv_writer`: write a file completely or not at all.
- `csv_reader`: read such a file back as the same frame.
"""

__all__: list[str] = []
