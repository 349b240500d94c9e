"""The command ``python -m sparkfly_nb.sandbox --port 8787 --db sandbox.db``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import os
import signal
import sys
import threading
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from ..api.endpoints import TOKEN_LIFETIME_S
from ..errors import SandboxError, SparkflyError
from ..settings import SANDBOX_DEFAULTS, VARIABLES
from .clock import SandboxClock
from .description import describe
from .faults import FAULT_TIMES, FAULTS, FaultPlan, FaultTimes
from .server import BASE_PATH, HOST, Sandbox
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["main"]

_PARENT_CHECK_S: Final = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Start the sandbox and serve until a signal stops it."""
    options = _parser().parse_args(arguments)
    if options.describe:
        sys.stdout.write(orjson.dumps(describe(), option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    try:
        _run(_serve(options))
    except SparkflyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    known = "\n".join(f"  {name:<20}{fault.help}" for name, fault in FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m sparkfly_nb.sandbox",
        description="A local Sparkfly service that only this machine can reach. Press Ctrl-C to stop it.",
        epilog=f"faults for --fault NAME=RATE or --fault OPERATION:NAME=RATE; rates are from 0 to 1:\n{known}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=int, default=SANDBOX_DEFAULTS.port, help="the port; 0 (the default) picks a free one"
    )
    parser.add_argument("--db", type=Path, help="the database file, new or from an earlier sandbox; default: in memory")
    parser.add_argument(
        "--seed", type=int, default=SANDBOX_DEFAULTS.seed,
        help="the random seed of a new merchant (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--members", type=int, default=SANDBOX_DEFAULTS.members,
        help="the number of members of a new merchant (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--now", type=_moment, help="the time at the start of the sandbox, as in 2026-06-30T12:00:00Z")
    parser.add_argument(
        "--token-lifetime",
        type=float,
        default=TOKEN_LIFETIME_S,
        metavar="S",
        help="seconds a token lasts (default %(default)s)",
    )
    parser.add_argument("--fault", type=_rate, action="append", default=[], metavar="NAME=RATE", help="see below")
    parser.add_argument(
        "--fault-seed", type=int, default=SANDBOX_DEFAULTS.fault_seed,
        help="the random seed of the faults (default %(default)s)",
    )  # fmt: skip
    for field in fields(FaultTimes):
        parser.add_argument(
            f"--{field.name.removesuffix('_s').replace('_', '-')}", type=float, default=field.default, metavar="S",
            dest=field.name, help=f"{FAULT_TIMES[field.name]}, in seconds (default {field.default:g})",
        )  # fmt: skip
    parser.add_argument("--describe", action="store_true", help="print the OpenAPI description as JSON and exit")
    # Set by SandboxProcess: print the connection as one line of JSON, and stop with the parent process.
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _rate(text: str) -> tuple[str, float]:
    name, _, rate = text.rpartition("=")
    return name, float(rate)


async def _serve(options: argparse.Namespace) -> None:
    clock = SandboxClock(options.now)
    plan = FaultPlan(dict(options.fault), seed=options.fault_seed)
    store = Store(options.db, seed=options.seed, members=options.members, clock=clock)
    sandbox = Sandbox(
        store,
        clock,
        plan=plan,
        times=FaultTimes(**{field.name: getattr(options, field.name) for field in fields(FaultTimes)}),
        token_lifetime_s=options.token_lifetime,
    )
    try:
        port = await sandbox.start(options.port)
    except OSError as error:
        store.close()
        raise SandboxError(f"the sandbox cannot listen on {HOST}:{options.port}: {error.strerror}") from None
    stop = asyncio.Event()
    _stop_on_signals(stop)
    base_url = f"http://{HOST}:{port}{BASE_PATH}"
    identity, key = store.credentials
    if options.child:
        _stop_with_parent(stop)
        connection = {"base_url": base_url, "identity": identity, "key": key, "admin_secret": sandbox.admin_secret}
        sys.stdout.write(orjson.dumps(connection).decode() + "\n")
    else:
        settings = {"environment": "sandbox", "base_url": base_url, "identity": identity, "key": key}
        lines = "\n".join(f"export {VARIABLES[name]}={text}" for name, text in settings.items())
        storage = f"in {options.db}" if options.db else "in memory and lost when the sandbox stops"
        sys.stdout.write(
            f"Sandbox running at {base_url}, bound to {HOST}. Only this machine can reach it. Its data is {storage}.\n"
            f"To connect:\n\n{lines}\n\nPress Ctrl-C to stop.\n"
        )
    sys.stdout.flush()
    try:
        await stop.wait()
    finally:
        await sandbox.stop()


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        # Event loops on Windows have no signal handlers. There Ctrl-C arrives as KeyboardInterrupt.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(name, stop.set)


def _stop_with_parent(stop: asyncio.Event) -> None:
    """Stop when the parent process has ended, even if it was killed."""
    loop = asyncio.get_running_loop()
    parent = os.getppid()

    def call_stop() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)

    def wait_for_end() -> None:
        # The parent holds the other end of our stdin and never writes. The read returns when the parent ends.
        while os.read(sys.stdin.fileno(), 1024):
            pass
        call_stop()

    def check_parent() -> None:
        # A process forked from the parent may keep the pipe open after the parent has ended.
        if os.getppid() != parent:
            stop.set()
        else:
            loop.call_later(_PARENT_CHECK_S, check_parent)

    threading.Thread(target=wait_for_end, daemon=True).start()
    check_parent()


def _run(serving: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop  # noqa: PLC0415 - optional, and faster than asyncio's own loop
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


if __name__ == "__main__":
    sys.exit(main())
