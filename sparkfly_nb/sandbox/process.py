"""The sandbox in a process of its own: started, asked what really happened, and stopped, from Python."""

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
_ASK_S: Final = 120.0
_LISTENS_LOOK_S: Final = 0.02


class SandboxProcess:
    """A running sandbox; a context manager that stops it at its end.

    Made by `start`. It can be used from several threads, and by several client processes at once through its address.
    It ends with the process that started it, however that ends.

    Attributes
    ----------
    base_url : str
        The address, ending in ``/v1.0``.
    identity, key : Secret
        What to authenticate with; ``reveal()`` gives the text.
    """

    def __init__(self, process: subprocess.Popen[bytes], told: Mapping[str, str], errors: IO[bytes]) -> None:
        self.base_url = told["base_url"]
        self.identity = Secret(told["identity"])
        self.key = Secret(told["key"])
        self._admin_secret = Secret(told["admin_secret"])
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
        """Start a sandbox and wait until it serves.

        Parameters
        ----------
        members, seed : int
            How many members a new merchant has, and what it is made from.
        db : path, optional
            A file that keeps members, offer states and credentials, and from which it goes on; by default in memory.
        port : int
            0 takes a free one.
        now : datetime, optional
            The time, with an offset, at which it believes to start.
        token_lifetime_s : float
            How long a token authenticates, in seconds.
        faults : Mapping of str to float, optional
            Rates from 0 to 1 by the names in ``sandbox.faults.FAULTS``, as in ``{"issue_offer:half_body": 0.1}``.
        fault_seed : int
            What decides which requests are hit.
        fault_times : Mapping of str to float, optional
            Any of ``hang_s, slow_s, retry_after_s, skew_s, refuse_s``, in seconds.
        startup_timeout_s : float
            How long to wait, in seconds.

        Raises
        ------
        SandboxError
            It did not start; the message holds what it said.
        InvalidInput
            A fault is not known, a rate is none, or no file can be called `db`.
        """
        FaultPlan(faults, seed=fault_seed)
        if now is not None and now.tzinfo is None:
            raise InvalidInput("now has no time zone; give a datetime with an offset")
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
            # The stop button and Ctrl-C are meant for the caller: the service goes on, as the real one would.
            start_new_session=True,
        )
        sandbox = None
        try:
            sandbox = cls(process, _told(process, errors, startup_timeout_s), errors)
        finally:
            if sandbox is None:
                _end(process, errors)
        sandbox._fault_seed = fault_seed
        return sandbox

    def stop(self) -> None:
        """Stop it; a second time does nothing."""
        # A forked copy of this process must not stop the sandbox of the original.
        if os.getpid() != self._owner:
            return
        with self._lock:
            atexit.unregister(self.stop)
            _end(self._process, self._errors)

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    # ---- what there is -----------------------------------------------------------------------------------------------

    def members(self, n: int | None = None) -> list[dict[str, Any]]:
        """List the first `n` members, or all: ``member_id``, ``member_identifier``, ``segment``."""
        return list(self._ask("GET", "members" if n is None else f"members?n={int(n)}")["members"])

    def campaigns(self) -> list[dict[str, Any]]:
        """List the campaigns: ``campaign_id``, ``campaign_xid``, ``name``, ``offer_id``, ``segment``, ``status``."""
        return list(self._ask("GET", "merchant")["campaigns"])

    def offers(self) -> list[dict[str, Any]]:
        """List the offers: ``offer_id``, ``name``, ``valid_days``, ``value_required``, ``active`` and more."""
        return list(self._ask("GET", "merchant")["offers"])

    def channels(self) -> list[dict[str, Any]]:
        """List the channels: ``channel_id``, ``name``, ``campaign_id``."""
        return list(self._ask("GET", "merchant")["channels"])

    def truth(self, *, generated: bool = True) -> dict[str, Any]:
        """Say what really is in the store, and what was asked of it.

        Parameters
        ----------
        generated : bool
            Whether to list the offer states that the merchant began with, too.

        Returns
        -------
        dict
            ``offer_states``, a list of dicts (``offer_state_id, member_id, member_identifier, offer_id, campaign_id,
            campaign_xid, external_ref_id, status, value, created_at, ..., activities, generated``);
            ``requests`` per operation, ``answers`` per status and ``faults`` per name, each since the start;
            ``now``, the time there; ``cpu_s``, the CPU time that it has used, in seconds.
        """
        return self._ask("GET", "truth" if generated else "truth?generated=no")

    # ---- what is to go wrong -----------------------------------------------------------------------------------------

    def set_faults(
        self,
        rates: Mapping[str, float] | None = None,
        *,
        seed: int | None = None,
        times: Mapping[str, float] | None = None,
    ) -> None:
        """Let other things go wrong from now on, or nothing; counts go on.

        Raises
        ------
        InvalidInput
            A fault is not known, or a rate is none.
        """
        seed = self._fault_seed if seed is None else seed
        FaultPlan(rates, seed=seed)
        wanted = {"rates": dict(rates or {}), "seed": seed, "times": _checked_times(times)}
        self._ask("POST", "faults", wanted)
        self._fault_seed = seed

    def expire_tokens(self) -> None:
        """End every token that was given out."""
        self._ask("POST", "expire_tokens")

    def refuse_connections(self, for_s: float) -> None:
        """Refuse new connections and cut open ones, for `for_s` seconds from now."""
        self._ask("POST", "refuse_connections", {"for_s": for_s})

    def _ask(self, method: str, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        address = urlsplit(self.base_url)
        # Not through requests: a proxy of the environment has no business between us and our own process.
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_ASK_S)
        fault = None
        try:
            self._wait_until_it_listens(connection)
            self._knock(connection, method, f"{ADMIN_PATH}/{what}", orjson.dumps(body or {}))
            response = connection.getresponse()
            answered: dict[str, Any] = orjson.loads(response.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            fault = type(error).__name__
        finally:
            connection.close()
        if fault is not None:  # raised here, so that no foreign error with the secret in its frames hangs on it
            state = "does not answer" if self.is_running else "has stopped"
            raise SandboxError(f"the sandbox at {self.base_url} {state}: {fault}")
        if response.status != 200:
            raise SandboxError(f"the sandbox refused {what}: {answered.get('error')}")
        return answered

    def _wait_until_it_listens(self, connection: http.client.HTTPConnection) -> None:
        """Connect; while the sandbox refuses connections, as a fault may have it, it is there all the same."""
        until = time.monotonic() + _ASK_S
        while True:
            try:
                return connection.connect()
            except ConnectionRefusedError:
                if not self.is_running or time.monotonic() > until:
                    raise
                time.sleep(_LISTENS_LOOK_S)

    def _knock(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes) -> None:
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
        raise SandboxError("a sandbox is not pickled: it is a process; pass its base_url on instead")


def _checked_times(times: Mapping[str, float] | None) -> dict[str, float]:
    unknown = (times or {}).keys() - asdict(FaultTimes()).keys()
    if unknown:
        raise InvalidInput(f"{', '.join(unknown)} is not known; use {', '.join(asdict(FaultTimes()))}")
    return dict(times or {})


def _told(process: subprocess.Popen[bytes], errors: IO[bytes], timeout_s: float) -> dict[str, str]:
    """Wait for the one line with address and secrets, which come through a pipe: command lines can be read by all."""
    lines: list[bytes] = []
    output = process.stdout
    if output is None:
        raise SandboxError("the sandbox has no output")
    reader = threading.Thread(target=lambda: lines.append(output.readline()), daemon=True)
    reader.start()
    reader.join(timeout_s)
    try:
        told: dict[str, str] = orjson.loads(lines[0])
    except (IndexError, orjson.JSONDecodeError):
        if not lines:
            why = f"it said nothing for {timeout_s:g} s; try startup_timeout_s="
        else:
            process.wait(_STOP_S)
            errors.seek(0)
            why = errors.read()[-2000:].decode(errors="replace").strip()
        raise SandboxError(f"the sandbox did not start: {why}") from None
    return told


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
