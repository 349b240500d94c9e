"""Values and DataFrames: what people may write in a cell, and the typed columns that come back."""
