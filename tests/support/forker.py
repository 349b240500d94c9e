"""A process with all imports that forks workers, which may be killed. Importing pandas alone takes a second."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
import traceback

PATIENCE_S = 120


class Forker:
    """Runs functions of one module one after the other, each in a separate process."""

    def __init__(self, module):
        self._process = subprocess.Popen(
            [sys.executable, __file__, module], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, work, *arguments):
        """Return the result of the work, or None if its process was killed."""
        pickle.dump((work, arguments), self._process.stdin)
        self._process.stdin.flush()
        exit_code, result = pickle.load(self._process.stdout)
        if exit_code == -signal.SIGKILL:
            return None
        assert exit_code == 0, f"{work.__name__} ended with {exit_code}: {result[-3000:].decode(errors='replace')}"
        return pickle.loads(result)

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _serve():
    tasks, reports = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the work must not print into the stream of reports
    while True:
        try:
            work, arguments = pickle.load(tasks)
        except EOFError:
            return
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _work(work, arguments, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            result = stream.read()
        # Report only after waitpid: until then, the ledger takes the dead process for a running one.
        pickle.dump((os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), result), reports)
        reports.flush()


def _work(work, arguments, writing):
    exit_code = 1
    signal.alarm(PATIENCE_S)
    try:
        with os.fdopen(writing, "wb") as telling:
            try:
                telling.write(pickle.dumps(work(*arguments)))
                exit_code = 0
            except BaseException:  # noqa: BLE001 - reported to the parent
                telling.write(traceback.format_exc().encode())
    finally:
        os._exit(exit_code)


if __name__ == "__main__":
    importlib.import_module(sys.argv[1])
    _serve()
    os._exit(0)  # a normal exit would take seconds to tear down the imported modules
