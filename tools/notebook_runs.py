"""Runs the notebooks: for the tests, and with ``make notebooks`` to keep their outputs in the files."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELL_TIMEOUT_S = 300
PERSON = "analyst"
"""Whose name stands in outputs: the ledger notes who ran something."""
VARYING = {
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?": "<moment>",
    r"\d+ of (\d+) rows are still open": r"<some> of \1 rows are still open",
}
"""What is another each time: the time, and how far a process came before it was killed."""


def run(path, folder):
    """Run a notebook from its first cell in a fresh kernel and an empty folder; gives it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    variables = {name: text for name, text in os.environ.items() if not name.startswith(("SPARKFLY_", "JPY_"))}
    variables |= {
        "LOGNAME": PERSON,
        "XDG_DATA_HOME": str(Path(folder) / "data_home"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    return client.execute(env=variables)


def outputs_of(notebook):
    """Give what each code cell shows, as text, without what is another each time."""
    return ["".join(_text(output) for output in cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]


def _text(output):
    if output.output_type == "stream":
        text = output.text
    elif output.output_type == "error":
        text = f"{output.ename}: {output.evalue}"
    else:
        text = output["data"].get("text/plain", "")
    for pattern, stand_in in VARYING.items():
        text = re.sub(pattern, stand_in, text)
    return text


def main():
    """Run every notebook and write it back with its outputs."""
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            notebook = run(path, folder)
        notebook.metadata = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        for number, cell in enumerate(notebook.cells):
            cell.id = f"{path.stem[:2]}-{number:02d}"
            for output in cell.get("outputs", []):  # a widget without its kernel would show as an error
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            cell.metadata = {name: value for name, value in cell.metadata.items() if name == "tags"}
        nbformat.write(notebook, path)
        sys.stdout.write(f"{path.relative_to(ROOT)}: {len(notebook.cells)} cells\n")


if __name__ == "__main__":
    main()
