"""A process that has loaded everything and forks others, which work and may be killed: pandas alone takes a second."""

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
    """Runs functions of one module, each in a process of its own, one after the other."""

    def __init__(self, module):
        self._process = subprocess.Popen(
            [sys.executable, __file__, module], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, work, *arguments):
        """Give what the work gave, or None where it was killed."""
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
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the work prints is no report
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
        with os.fdopen(reading, "rb") as told:
            result = told.read()
        # Only now its end can be told: until it is reaped, a dead process looks alive to the ledger.
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
            except BaseException:  # noqa: BLE001 - told to whoever waits
                telling.write(traceback.format_exc().encode())
    finally:
        os._exit(exit_code)


if __name__ == "__main__":
    importlib.import_module(sys.argv[1])
    _serve()
    os._exit(0)  # nothing is left to do, and to take apart all that was loaded takes seconds
