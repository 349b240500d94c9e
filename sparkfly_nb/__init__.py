"""Issue, audit and void Sparkfly offers from a notebook: DataFrames in, DataFrames out, every row accounted for."""
