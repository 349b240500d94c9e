"""The outputs of an audit: a folder, a workbook, plots, text and HTML."""

__all__: list[str] = []
