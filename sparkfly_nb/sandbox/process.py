"""The sandbox in a separate process: start it, inject faults, read what really happened, and stop it."""

from __future__ import annotations

import atexit
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from ..api.endpoints import TOKEN_LIFETIME_S
from ..errors import InvalidInput, SandboxError
from ..files import as_path
from ..settings import SANDBOX_DEFAULTS, Secret
from .faults import FaultPlan, FaultTimes
from .server import ADMIN_PATH, ADMIN_SECRET_HEADER

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["SandboxProcess"]

_STOP_S: Final = 5.0
_ADMIN_TIMEOUT_S: Final = 120.0
_LISTENING_POLL_S: Final = 0.02


class SandboxProcess:
    """A running sandbox, also usable as a context manager that stops it.

    `start` creates it. Several threads can use it, and several client processes can connect to its address.
    The sandbox stops with the process that started it, even if that process is killed.

    Attributes
    ----------
    base_url : str
        The address, ending in ``/v1.0``.
    identity, key : Secret
        The credentials. ``reveal()`` returns the text.
    """

    def __init__(self, process: subprocess.Popen[bytes], connection: Mapping[str, str], errors: IO[bytes]) -> None:
        self.base_url = connection["base_url"]
        self.identity = Secret(connection["identity"])
        self.key = Secret(connection["key"])
        self._admin_secret = Secret(connection["admin_secret"])
        self._process = process
        self._errors = errors
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._fault_seed = 0
        atexit.register(self.stop)

    @classmethod
    def start(
        cls,
        *,
        members: int = SANDBOX_DEFAULTS.members,
        seed: int = SANDBOX_DEFAULTS.seed,
        db: str | os.PathLike[str] | None = None,
        port: int = SANDBOX_DEFAULTS.port,
        now: dt.datetime | None = None,
        token_lifetime_s: float = TOKEN_LIFETIME_S,
        faults: Mapping[str, float] | None = None,
        fault_seed: int = SANDBOX_DEFAULTS.fault_seed,
        fault_times: Mapping[str, float] | None = None,
        startup_timeout_s: float = SANDBOX_DEFAULTS.startup_timeout_s,
    ) -> SandboxProcess:
        """Start a sandbox and wait until it accepts requests.

        Parameters
        ----------
        members, seed : int
            The number of members of a new merchant, and its random seed.
        db : path, optional
            The file for members, offer states and credentials. A file of an earlier sandbox continues where that one
            stopped. By default, all data is in memory.
        port : int
            The port, or 0 for a free one.
        now : datetime, optional
            The time, with an offset, at which the sandbox's clock starts. The default is the current time.
        token_lifetime_s : float
            The lifetime of a token, in seconds.
        faults : Mapping of str to float, optional
            Rates from 0 to 1 by the names in ``sandbox.faults.FAULTS``, as in ``{"issue_offer:half_body": 0.1}``.
        fault_seed : int
            The random seed that decides which requests the faults affect.
        fault_times : Mapping of str to float, optional
            Any of ``hang_s, slow_s, retry_after_s, skew_s, refuse_s``, in seconds.
        startup_timeout_s : float
            How long to wait for the start, in seconds.

        Raises
        ------
        SandboxError
            The sandbox did not start. The message has the output of its process.
        InvalidInput
            A fault or a fault time is unknown, a rate is invalid, `now` has no offset, or `db` is not a valid path.
        """
        FaultPlan(faults, seed=fault_seed)  # only to check the faults before a process starts
        if now is not None and now.tzinfo is None:
            raise InvalidInput("now has no time zone; use a datetime with an offset")
        options: dict[str, object] = {
            "members": members, "seed": seed, "db": db and as_path(db), "port": port, "now": now and now.isoformat(),
            "token-lifetime": token_lifetime_s, "fault-seed": fault_seed,
            **{name.removesuffix("_s").replace("_", "-"): value for name, value in _checked_times(fault_times).items()},
        }  # fmt: skip
        command = [sys.executable, "-m", __package__, "--child"]
        command += [f"--{name}={value}" for name, value in options.items() if value is not None]
        command += [f"--fault={name}={rate!r}" for name, rate in (faults or {}).items()]
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            # The notebook's stop button and Ctrl-C must interrupt only the caller. The real service would go on, too.
            start_new_session=True,
        )
        sandbox = None
        try:
            sandbox = cls(process, _read_connection(process, errors, startup_timeout_s), errors)
        finally:
            # Also after KeyboardInterrupt: no process may be left behind.
            if sandbox is None:
                _end(process, errors)
        sandbox._fault_seed = fault_seed
        return sandbox

    def stop(self) -> None:
        """Stop the sandbox. A second call does nothing."""
        # A forked copy of this process must not stop the sandbox of the original.
        if os.getpid() != self._owner:
            return
        with self._lock:
            atexit.unregister(self.stop)
            _end(self._process, self._errors)

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    # ---- the merchant and the store ----------------------------------------------------------------------------------

    def members(self, n: int | None = None) -> list[dict[str, Any]]:
        """List the first `n` members, or all: ``member_id``, ``member_identifier``, ``segment``."""
        return list(self._call("GET", "members" if n is None else f"members?n={int(n)}")["members"])

    def campaigns(self) -> list[dict[str, Any]]:
        """List the campaigns: ``campaign_id``, ``campaign_xid``, ``name``, ``offer_id``, ``segment``, ``status``."""
        return list(self._call("GET", "merchant")["campaigns"])

    def offers(self) -> list[dict[str, Any]]:
        """List the offers: ``offer_id``, ``name``, ``valid_days``, ``value_required``, ``active`` and more."""
        return list(self._call("GET", "merchant")["offers"])

    def channels(self) -> list[dict[str, Any]]:
        """List the channels: ``channel_id``, ``name``, ``campaign_id``."""
        return list(self._call("GET", "merchant")["channels"])

    def truth(self, *, generated: bool = True) -> dict[str, Any]:
        """Return the offer states in the store and the counts of requests, regardless of faults.

        Parameters
        ----------
        generated : bool
            Whether to include the offer states that the merchant started with.

        Returns
        -------
        dict
            ``offer_states``
                A list of dicts (``offer_state_id, member_id, member_identifier, offer_id, campaign_id, campaign_xid,
                external_ref_id, status, value, created_at, ..., activities, generated``).
            ``requests``, ``answers``, ``faults``
                Counts since the start: requests by operation, responses by status, faults by name.
            ``now``, ``cpu_s``
                The time in the sandbox, and the CPU time of its process in seconds.
        """
        return self._call("GET", "truth" if generated else "truth?generated=no")

    # ---- faults ------------------------------------------------------------------------------------------------------

    def set_faults(
        self,
        rates: Mapping[str, float] | None = None,
        *,
        seed: int | None = None,
        times: Mapping[str, float] | None = None,
    ) -> None:
        """Replace the faults. Without `rates`, nothing goes wrong from now on. The counts of faults continue.

        Raises
        ------
        InvalidInput
            A fault or a fault time is unknown, or a rate is invalid.
        """
        seed = self._fault_seed if seed is None else seed
        FaultPlan(rates, seed=seed)  # only to check the faults
        wanted = {"rates": dict(rates or {}), "seed": seed, "times": _checked_times(times)}
        self._call("POST", "faults", wanted)
        self._fault_seed = seed

    def expire_tokens(self) -> None:
        """Invalidate all tokens."""
        self._call("POST", "expire_tokens")

    def refuse_connections(self, for_s: float) -> None:
        """Close all connections, and refuse new ones for `for_s` seconds."""
        self._call("POST", "refuse_connections", {"for_s": for_s})

    def _call(self, method: str, command: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        address = urlsplit(self.base_url)
        # Not through requests, which would use a proxy from the environment even for this machine.
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_ADMIN_TIMEOUT_S)
        fault = None
        try:
            self._wait_until_listening(connection)
            self._send(connection, method, f"{ADMIN_PATH}/{command}", orjson.dumps(body or {}))
            response = connection.getresponse()
            content: dict[str, Any] = orjson.loads(response.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            fault = type(error).__name__
        finally:
            connection.close()
        # Raised outside the except block: the original error would carry the secret in the frames of its traceback.
        if fault is not None:
            state = "does not respond" if self.is_running else "has stopped"
            raise SandboxError(f"the sandbox at {self.base_url} {state}: {fault}")
        if response.status != 200:
            raise SandboxError(f"the sandbox rejected {command}: {content.get('error')}")
        return content

    def _wait_until_listening(self, connection: http.client.HTTPConnection) -> None:
        # The fault connection_refused also affects these requests. It ends after a while.
        until = time.monotonic() + _ADMIN_TIMEOUT_S
        while True:
            try:
                return connection.connect()
            except ConnectionRefusedError:
                if not self.is_running or time.monotonic() > until:
                    raise
                time.sleep(_LISTENING_POLL_S)

    def _send(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes) -> None:
        connection.request(method, path, body, {ADMIN_SECRET_HEADER: self._admin_secret.reveal()})

    def __enter__(self) -> SandboxProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<SandboxProcess {self.base_url} {'running' if self.is_running else 'stopped'}>"

    def __getstate__(self) -> object:
        raise SandboxError("a sandbox is a process and cannot be pickled; pass its base_url instead")


def _checked_times(times: Mapping[str, float] | None) -> dict[str, float]:
    unknown = (times or {}).keys() - asdict(FaultTimes()).keys()
    if unknown:
        raise InvalidInput(f"unknown fault times: {', '.join(unknown)}; use {', '.join(asdict(FaultTimes()))}")
    return dict(times or {})


def _read_connection(process: subprocess.Popen[bytes], errors: IO[bytes], timeout_s: float) -> dict[str, str]:
    """Read the line with the address and the secrets that the sandbox prints when it has started."""
    # The secrets come through a pipe, because every user of the machine can read command lines.
    lines: list[bytes] = []
    output = process.stdout
    if output is None:
        raise SandboxError("the sandbox has no output")
    # In a thread, because a read from a pipe has no timeout.
    reader = threading.Thread(target=lambda: lines.append(output.readline()), daemon=True)
    reader.start()
    reader.join(timeout_s)
    try:
        connection: dict[str, str] = orjson.loads(lines[0])
    except (IndexError, orjson.JSONDecodeError):
        if not lines:
            why = f"no output for {timeout_s:g} s; increase startup_timeout_s"
        else:
            process.wait(_STOP_S)
            errors.seek(0)
            why = errors.read()[-2000:].decode(errors="replace").strip()
        raise SandboxError(f"the sandbox did not start: {why}") from None
    return connection


def _end(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout, errors):
        if pipe is not None:
            pipe.close()
