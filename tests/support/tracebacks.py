"""Errors with everything that a tool can show of them."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path

from paths import TESTS

import sparkfly_nb

PACKAGE = str(Path(sparkfly_nb.__file__).parent)


def everything_about(error):
    """Return an error as text with the variables of all frames, with its causes, and as a pickle."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    chain, frames = [shown], []
    while chain:
        one = chain.pop()
        frames += [frame for frame in one.stack if not frame.filename.startswith(str(TESTS))]
        chain += [other for other in (one.__cause__, one.__context__) if other is not None]
    assert any(frame.filename.startswith(PACKAGE) for frame in frames)
    return "\n".join(
        [repr(error), str(error), *(f"{frame.name} {frame.locals}" for frame in frames), repr(vars(error))]
    ) + pickle.dumps(error).decode("latin-1")
