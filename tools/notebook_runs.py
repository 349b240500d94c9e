"""Run the notebooks, for the tests and for ``make notebooks``, which saves their outputs in the files."""

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
#: The user name in outputs, because the ledger records who started a run.
PERSON = "analyst"
#: Outputs that differ from run to run: times, and the progress of a process when it is killed.
VARYING = {
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?": "<moment>",
    r"\d+ of (\d+) rows are still open": r"<some> of \1 rows are still open",
}


def run(path, folder):
    """Run a notebook in a new kernel and an empty folder. Return the notebook with its outputs."""
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
    """Return the output of each code cell as text, with placeholders for varying parts."""
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
            for output in cell.get("outputs", []):  # without a kernel, a widget would appear as an error
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            cell.metadata = {name: value for name, value in cell.metadata.items() if name == "tags"}
        nbformat.write(notebook, path)
        sys.stdout.write(f"{path.relative_to(ROOT)}: {len(notebook.cells)} cells\n")


if __name__ == "__main__":
    main()
