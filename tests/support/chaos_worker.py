"""The worker process of the chaos matrix, which makes one bulk call and may kill itself."""

from __future__ import annotations

import itertools
import os
import signal
import warnings
from contextlib import contextmanager
from typing import NamedTuple

import joblib
from bulk_world import QUICK

from sparkfly_nb import Session
from sparkfly_nb.bulk.engine import executor
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.errors import LedgerError, RunHalted
from sparkfly_nb.http.async_client import AsyncClient

TIMEOUT = (2, 0.3)


class Task(NamedTuple):
    """One bulk call in a separate process."""

    way: dict
    ledger: str
    call: str
    arguments: tuple
    options: dict
    threads: int
    dies_at: int | None = None


def work(task):
    """Make one bulk call. Return its frame, or None if it has none yet."""
    warnings.simplefilter("ignore")  # the fault wrong_types causes warnings about unreadable values
    executor.SHARD_ROUNDS = 1  # to get several shards for few rows
    if task.dies_at is not None:
        die_at(task.dies_at)
    with (
        joblib.parallel_config("threading", n_jobs=task.threads),
        Session("sandbox", **task.way, ledger=task.ledger, timeout=TIMEOUT, retry=QUICK) as session,
    ):
        try:
            return getattr(session, task.call)(*task.arguments, **task.options)
        except RunHalted as halt:
            return halt.result if task.call != "void_run" else None
        except LedgerError as error:
            if "has no run" in str(error):
                return None
            raise


def die_at(step):
    """Kill this process at its n-th step. Steps are before and after each request, and around and in transactions."""
    steps = itertools.count(1)

    def pass_by():
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    send, transaction = AsyncClient.send, Ledger.transaction

    async def sent(self, request):
        pass_by()
        try:
            return await send(self, request)
        finally:
            pass_by()

    @contextmanager
    def recorded(self, **how):
        pass_by()
        with transaction(self, **how) as connection:
            yield connection
            pass_by()  # written but not committed
        pass_by()

    AsyncClient.send, Ledger.transaction = sent, recorded
