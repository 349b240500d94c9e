"""Work in a thread of its own: an interrupt prevents it, or is forwarded to it."""

from __future__ import annotations

import signal
import threading

import pytest

from sparkfly_nb.bulk.interruptible import run_interruptibly


def run(work, **options):
    return run_interruptibly(work, "work", lambda: None, poll=lambda: None, poll_s=0.01, **options)


def test_result_of_the_work_is_returned():
    assert run(lambda: 7).result() == 7


def test_error_of_the_work_is_raised_by_result():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0).result()


def test_interrupt_before_the_work_starts_prevents_it(monkeypatch):
    """Python may already have created the thread, which would then start after the call has ended."""
    threads, done = [], []

    def interrupted(thread):
        threads.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    ended = run_interruptibly(
        lambda: done.append(1), "work", lambda: done.append("interrupted"), poll=lambda: None, poll_s=0.01
    )
    threads[0].run()
    assert done == []
    assert ended.interrupted
    with pytest.raises(KeyboardInterrupt):
        ended.result()


def test_interrupt_is_forwarded_and_the_work_is_awaited():
    interrupted = threading.Event()

    def work():
        assert interrupted.wait(10)
        return "all of it"

    signals = iter([signal.SIGINT])
    ended = run_interruptibly(
        work, "work", interrupted.set, poll=lambda: [signal.raise_signal(number) for number in signals], poll_s=0.01
    )
    assert ended.interrupted
    assert ended.result() == "all of it"
