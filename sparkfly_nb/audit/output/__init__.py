"""What an audit becomes: a folder, a workbook, plots, text and HTML."""
