"""Shards through joblib, on whatever backend is configured, in a thread that an interrupt cannot tear apart."""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import joblib
from joblib.externals.loky import reusable_executor

from ...errors import ConfigurationError, RequestFailed, SparkflyError
from ...http.async_client import AsyncClientConfig
from ..interruptible import work_aside
from ..worker.cancellation import CHILD_ENDS_S, stop_event
from ..worker.messages import SHARD_SECONDS, WorkerConfig
from .progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ...api.retry_policy import RetryPolicy
    from ...http.tokens import Tokens
    from ...settings import Settings

__all__ = ["Backoff", "BulkOptions", "Executor", "WorkersLost"]

_T = TypeVar("_T")
_J = TypeVar("_J")
_R = TypeVar("_R")
LOOK_S: Final = 0.1
"""How often the waiting thread looks at the progress and for an interrupt."""
MAX_RATE: Final = 1_000_000
IDLE_ROUNDS: Final = 6
"""After so many rounds in which no row moved, a run gives up."""


class WorkersLost(SparkflyError):
    """Worker processes died; stays inside the executor, which continues without them."""


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_whole(value)


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """How a bulk call goes about its work; the fields are the keyword arguments of the Session's bulk calls."""

    concurrency: int = 64
    rate: float | None = None
    n_jobs: int | None = None
    progress: bool = True
    canary: int = 0
    halt_above: float = 0.5
    settle_pause: float = 2.0

    def __post_init__(self) -> None:
        checks = (
            ("concurrency", _is_whole(self.concurrency) and 1 <= self.concurrency <= 10_000, "1 to 10,000"),
            ("rate", self.rate is None or (_is_number(self.rate) and 0 < self.rate <= MAX_RATE),
             f"above 0 and up to {MAX_RATE:,} requests per second, or None for no limit"),
            ("n_jobs", self.n_jobs is None or (_is_whole(self.n_jobs) and self.n_jobs != 0), "not 0, or None"),
            ("canary", _is_whole(self.canary) and self.canary >= 0, "a number of rows, 0 for none"),
            ("halt_above", _is_number(self.halt_above) and 0 <= self.halt_above <= 1,
             "a share from 0 to 1; 1 never halts"),
            ("settle_pause", _is_number(self.settle_pause) and 0 <= self.settle_pause <= 600, "0 to 600 seconds"),
        )  # fmt: skip
        for name, good, allowed in checks:
            if not good:
                raise ConfigurationError(f"{name}={getattr(self, name)!r} cannot be used: it must be {allowed}")


@dataclass(slots=True)
class Backoff:
    """What goes on between rounds: the token is renewed, pauses are kept, and hopeless work ends."""

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
            raise RequestFailed(f"the service lets nothing through: {hindrance or 'no row could be sent'}")
        if unauthenticated:
            self.executor.tokens.renew(generation)
        elif not moved:
            pause_s = max(pause_s, self.executor.policy.base_s * 2**self.idle_rounds)
        self.executor.sleep(pause_s)


class Executor:
    """Runs shards for one bulk call; made by `Runs.executor`.

    Parameters
    ----------
    settings : Settings
        Where the service is.
    tokens : Tokens
        Where the short-lived token comes from.
    options : BulkOptions
        Concurrency, rate, jobs.
    policy : RetryPolicy
        How often and how long one request is tried.
    """

    def __init__(self, settings: Settings, tokens: Tokens, options: BulkOptions, policy: RetryPolicy) -> None:
        self.settings = settings
        self.tokens = tokens
        self.options = options
        self.policy = policy
        self.stop = threading.Event()
        self.rows_done = 0
        self._stop_key = uuid.uuid4().hex
        # made in the caller's thread: joblib.parallel_config holds for that thread alone
        try:
            self._parallel = joblib.Parallel(
                n_jobs=options.n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs"
            )
        except ValueError as fault:  # a backend that only gives all its results at once
            raise ConfigurationError(f"joblib cannot be used as configured: {fault}; use loky or threading") from None
        self.workers = max(1, joblib.effective_n_jobs(options.n_jobs))
        backend = self._parallel._backend  # noqa: SLF001 - joblib tells nowhere else
        module = type(backend).__module__
        self.is_dask = "dask" in module
        is_local = module == "joblib._parallel_backends"
        shares_process = is_local and (self.workers == 1 or getattr(backend, "supports_sharedmem", False))
        self._has_children = is_local and not shares_process and os.name == "posix"
        shard_s = SHARD_SECONDS + settings.connect_timeout_s + settings.read_timeout_s
        self.after_loss_s = CHILD_ENDS_S if self._has_children else shard_s
        """Seconds in which workers that this executor lost sight of may still send: joblib kills its own children."""
        self.after_death_s = 0.0 if shares_process else self.after_loss_s
        """Seconds in which its workers may still send after the executor's process has died."""

    def work(self, what: Callable[[], _T], *, rows: int, label: str) -> _T:
        """Do the whole of a bulk call in a thread of its own, with a bar that counts finished rows.

        Raises
        ------
        KeyboardInterrupt
            After an interrupt, when what was in flight is finished and recorded.
        """
        context = contextvars.copy_context()
        had_loky = _loky_is_up()
        with (
            stop_event(self._stop_key) as self.stop,
            progress_bar(rows, label, "row", shown=self.options.progress) as bar,
        ):
            ended = work_aside(
                lambda: context.run(what),
                "sparkfly-nb-driver",
                self.stop.set,
                look=lambda: bar.update(self.rows_done - bar.n),
                look_s=LOOK_S,
            )
        if not had_loky and _loky_is_up():
            reusable_executor.get_reusable_executor().shutdown(wait=True)
        if ended.interrupted:
            raise KeyboardInterrupt
        return ended.result()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run is stopped."""
        if seconds > 0:
            self.stop.wait(seconds)

    def worker_config(self) -> tuple[WorkerConfig, int]:
        """Give what workers need to reach the service, and the generation of its token."""
        token, generation = self.tokens.current()
        lanes = max(1, self.options.concurrency // self.workers)
        rate = self.options.rate / self.workers if self.options.rate else None
        return (
            WorkerConfig(
                AsyncClientConfig(
                    self.settings.base_url,
                    token,
                    self.settings.connect_timeout_s,
                    self.settings.read_timeout_s,
                    self.settings.is_loopback,
                ),
                lanes,
                rate,
                self.policy,
                self._stop_key,
                os.getpid() if self._has_children else None,
            ),
            generation,
        )

    def dispatch(self, function: Callable[[tuple[_J]], _R], jobs: Iterable[_J]) -> Iterator[_R]:
        """Run jobs through joblib and give their reports as they finish.

        Raises
        ------
        WorkersLost
            Workers died; jobs without a report may or may not have run.
        """
        faults: list[SparkflyError] = []

        def calls() -> Iterator[Any]:
            # joblib pulls from here in threads of its own, where an exception would be lost
            try:
                for job in jobs:
                    yield joblib.delayed(function)((job,))
            except SparkflyError as fault:
                faults.append(fault)

        try:
            yield from self._parallel(calls())
        except SparkflyError:
            raise
        except Exception as fault:  # noqa: BLE001 - every backend has its own errors for dead workers
            raise WorkersLost(f"workers died: {type(fault).__name__}: {str(fault)[:300]}") from None
        if faults:
            raise faults[0]


def _loky_is_up() -> bool:
    executor = getattr(reusable_executor, "_executor", None)
    return executor is not None and not executor._flags.shutdown  # noqa: SLF001 - it stays there when it has ended


@contextlib.contextmanager
def beating(beat: Callable[[], None], every_s: float) -> Iterator[None]:
    """Say at intervals that this process is alive, as long as the block runs."""
    over = threading.Event()
    beat()

    def body() -> None:
        while not over.wait(every_s):
            with contextlib.suppress(SparkflyError):  # the executor meets the same fault itself, and says so
                beat()

    thread = threading.Thread(target=body, name="sparkfly-nb-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
