"""Shards through joblib, on whatever backend is configured, in a thread that an interrupt cannot tear apart."""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
import uuid
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any, Final, TypeVar

import joblib
from joblib.externals.loky import reusable_executor
from joblib.parallel import (
    LokyBackend,
    MultiprocessingBackend,
    SequentialBackend,
    ThreadingBackend,
    get_active_backend,
)

from ...errors import ConfigurationError, RequestFailed, SparkflyError
from ...http.async_client import AsyncClientConfig
from ..interruptible import run_interruptibly
from ..worker.cancellation import CHILD_ENDS_S, stop_event
from ..worker.messages import SHARD_SECONDS, WorkerConfig
from .progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ...api.retry_policy import RetryPolicy
    from ...http.tokens import Tokens
    from ...settings import Settings
    from ..options import BulkOptions

__all__ = ["Backoff", "Executor", "WorkersLost", "beating"]

_T = TypeVar("_T")
_J = TypeVar("_J")
_R = TypeVar("_R")
#: Seconds between two updates of the progress bar, and between two chances for an interrupt.
POLL_S: Final = 0.1
#: Rounds in which no row moved after which a run gives up.
IDLE_ROUNDS: Final = 6
#: Rows of a shard per request in flight. Connecting, and waiting for the last requests, then matter little.
SHARD_ROUNDS: Final = 160
#: The most rows of a shard. A worker must be through before its time is over, because what it hands back waits until
#: the rest is recorded.
SHARD_ROWS: Final = 20_480
_LOCAL_BACKENDS: Final = (LokyBackend, MultiprocessingBackend, SequentialBackend, ThreadingBackend)


class WorkersLost(SparkflyError):
    """Worker processes died; does not leave the engine, which continues without them."""


@dataclass(slots=True)
class Backoff:
    """What happens between rounds: the token is renewed, pauses are kept, and hopeless work ends."""

    executor: Executor
    idle_rounds: int = 0

    def after_round(
        self, *, moved: bool, generation: int, unauthenticated: bool, hindrance: str | None, pause_s: float
    ) -> None:
        """Prepare the next round.

        Raises
        ------
        AuthenticationError
            The token cannot be renewed.
        RequestFailed
            No row moved for several rounds.
        """
        self.idle_rounds = 0 if moved else self.idle_rounds + 1
        if self.idle_rounds >= IDLE_ROUNDS:
            raise RequestFailed(f"no request gets through to the service: {hindrance or 'no row could be sent'}")
        if unauthenticated:
            self.executor.tokens.renew(generation)
        elif not moved:
            policy = self.executor.policy
            pause_s = max(pause_s, min(policy.max_delay, policy.base_delay * 2**self.idle_rounds))
        self.executor.sleep(pause_s)


class Executor:
    """Runs shards for one bulk call.

    Parameters
    ----------
    settings : Settings
        The address of the service, and timeouts.
    tokens : Tokens
        The source of the short-lived token.
    options : BulkOptions
        Concurrency, rate and number of workers.
    policy : RetryPolicy
        How often and how long one request is tried.

    Attributes
    ----------
    workers : int
        The number of joblib workers.
    is_dask : bool
        Whether the workers belong to a Dask cluster.
    after_loss_s : float
        Seconds in which workers that this process lost sight of may still send.
    after_death_s : float
        Seconds in which the workers may still send after this process has died.
    rows_done : int
        Rows that have ended, for the progress bar.
    """

    def __init__(self, settings: Settings, tokens: Tokens, options: BulkOptions, policy: RetryPolicy) -> None:
        self.settings = settings
        self.tokens = tokens
        self.options = options
        self.policy = policy
        self.stop = threading.Event()
        self.rows_done = 0
        self._stop_key = uuid.uuid4().hex
        # Created in the caller's thread, because joblib.parallel_config holds for that thread only.
        try:
            self._parallel = joblib.Parallel(
                n_jobs=options.n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs"
            )
        except ValueError as error:  # a backend that only returns all its results at once
            raise ConfigurationError(f"joblib cannot be used as configured: {error}; use loky or threading") from None
        self.workers = max(1, joblib.effective_n_jobs(options.n_jobs))
        backend = get_active_backend()[0]
        self.is_dask = "dask" in type(backend).__module__
        is_local = type(backend) in _LOCAL_BACKENDS
        shares_process = is_local and (self.workers == 1 or getattr(backend, "supports_sharedmem", False))
        self._has_children = is_local and not shares_process and os.name == "posix"
        shard_s = SHARD_SECONDS + settings.connect_timeout_s + settings.read_timeout_s
        # joblib kills its own children, and they end with their parent. Workers elsewhere finish their shard.
        self.after_loss_s = CHILD_ENDS_S if self._has_children else shard_s
        self.after_death_s = 0.0 if shares_process else self.after_loss_s

    def work(self, what: Callable[[], _T], *, rows: int, label: str) -> _T:
        """Do the whole of a bulk call in a thread of its own, with a bar that counts finished rows.

        Raises
        ------
        KeyboardInterrupt
            After an interrupt, when the requests in flight are finished and recorded.
        """
        context = contextvars.copy_context()
        had_loky = _loky_is_up()
        with (
            stop_event(self._stop_key) as self.stop,
            progress_bar(rows, label, "row", shown=self.options.progress) as bar,
        ):
            finished = run_interruptibly(
                lambda: context.run(what),
                "sparkfly-nb-driver",
                self.stop.set,
                poll=lambda: bar.update(self.rows_done - bar.n),
                poll_s=POLL_S,
            )
        if not had_loky and _loky_is_up():
            reusable_executor.get_reusable_executor().shutdown(wait=True)
        if finished.interrupted:
            raise KeyboardInterrupt
        return finished.result()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run is stopped."""
        if seconds > 0:
            self.stop.wait(seconds)

    def worker_config(self) -> tuple[WorkerConfig, int]:
        """Return what workers need to reach the service, and the generation of its token."""
        token, generation = self.tokens.current()
        settings = self.settings
        client = AsyncClientConfig(
            settings.base_url, token, settings.connect_timeout_s, settings.read_timeout_s, settings.is_loopback
        )
        lanes = max(1, self.options.concurrency // self.workers)
        rate = self.options.rate / self.workers if self.options.rate else None
        parent_pid = os.getpid() if self._has_children else None
        return WorkerConfig(client, lanes, rate, self.policy, self._stop_key, parent_pid), generation

    def shard_bounds(self, positions: Sequence[int]) -> list[tuple[int, int]]:
        """Return the first and the last position of each shard; the canary rows are a shard of their own."""
        lanes = max(1, self.options.concurrency // self.workers)
        size = max(1, min(SHARD_ROUNDS * lanes, SHARD_ROWS, ceil(len(positions) / self.workers)))
        canary = min(self.options.canary, len(positions))
        cuts = [0, *([canary] if canary else []), *range(canary + size, len(positions), size), len(positions)]
        return [(positions[first], positions[last - 1]) for first, last in pairwise(cuts) if last > first]

    def dispatch(self, function: Callable[[tuple[_J]], _R], jobs: Iterable[_J]) -> Iterator[_R]:
        """Run jobs through joblib and yield their reports as they finish.

        Raises
        ------
        WorkersLost
            Workers died. Jobs without a report may or may not have run.
        """
        errors: list[SparkflyError] = []

        def calls() -> Iterator[Any]:
            # joblib pulls from here in threads of its own, where an exception would be lost.
            try:
                for job in jobs:
                    yield joblib.delayed(function)((job,))
            except SparkflyError as error:
                errors.append(error)

        try:
            yield from self._parallel(calls())
        except SparkflyError:
            raise
        except Exception as error:  # noqa: BLE001 - every backend has its own errors for dead workers
            raise WorkersLost(f"workers died: {type(error).__name__}: {str(error)[:300]}") from None
        if errors:
            raise errors[0]


def _loky_is_up() -> bool:
    """Return whether this process has loky workers; False if joblib no longer tells."""
    # joblib has no public way to ask this. Without an answer the workers stay, and end when they have been idle.
    executor = getattr(reusable_executor, "_executor", None)
    return executor is not None and not getattr(getattr(executor, "_flags", None), "shutdown", True)


@contextlib.contextmanager
def beating(beat: Callable[[], None], every_s: float) -> Iterator[None]:
    """Record at intervals that this process is alive, as long as the block runs."""
    over = threading.Event()
    beat()

    def body() -> None:
        while not over.wait(every_s):
            with contextlib.suppress(SparkflyError):  # the engine meets the same error and raises it
                beat()

    thread = threading.Thread(target=body, name="sparkfly-nb-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
