"""Count the files and classes that one warm row of ``issue_many`` visits, and how often it moves between files.

A stranger who reads the code follows the same path. ``python tools/trace_row.py --files`` lists the files as well.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from pathlib import Path

import pandas as pd

import sparkfly_nb as sf

PACKAGE = str(Path(sf.__file__).parent) + os.sep
CAMPAIGN = "SUMMER26"


class Visits:
    """The calls of functions of the package, in all threads; given to `sys.setprofile`."""

    def __init__(self):
        self.files = Counter()
        self.classes = Counter()
        self.moves = 0
        self._last = threading.local()

    def __call__(self, frame, event, _argument):
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(PACKAGE):
            return
        name = file.removeprefix(PACKAGE)
        self.files[name] += 1
        self.moves += getattr(self._last, "file", name) != name
        self._last.file = name
        first = frame.f_code.co_varnames[:1]
        if first in (("self",), ("cls",)) and first[0] in frame.f_locals:
            owner = frame.f_locals[first[0]]
            self.classes[owner.__name__ if isinstance(owner, type) else type(owner).__name__] += 1


def main():
    """Issue a few offers, then trace one more."""
    options = {"progress": False, "allow_duplicates": True}
    visits = Visits()
    with sf.Session.sandbox(members=20, seed=1) as session:
        members = [member["member_id"] for member in session.service.members()]
        for member in members[:3]:
            session.issue_many(pd.DataFrame({"member_id": [member]}), CAMPAIGN, **options)
        plan = pd.DataFrame({"member_id": members[5:6]})
        threading.setprofile(visits)
        sys.setprofile(visits)
        session.issue_many(plan, CAMPAIGN, **options)
        sys.setprofile(None)
        threading.setprofile(None)
    print(f"{len(visits.files)} files, {len(visits.classes)} classes, {visits.moves} moves between files")
    if "--files" in sys.argv:
        print("\n".join(f"{calls:4} {name}" for name, calls in visits.files.most_common()))


if __name__ == "__main__":
    main()
