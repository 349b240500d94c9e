"""A real server on loopback that sends the responses of a test's script, or breaks in a scripted way."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REASON = "Scripted"


@dataclass(frozen=True)
class Received:
    """A request as the server received it."""

    method: str
    target: str
    #: Names in lower case.
    headers: dict[str, str]
    body: bytes
    #: Requests over the same connection have the same number.
    connection: int

    @property
    def json(self):
        return json.loads(self.body)


@dataclass(frozen=True)
class ScriptedResponse:
    """A complete response."""

    status: int = 200
    #: Bytes are sent unchanged, anything else as JSON.
    body: object = b""
    headers: dict[str, str] = field(default_factory=dict)
    #: False omits the length, so that closing the connection ends the body.
    framed: bool = True

    def head(self, length):
        lines = [f"HTTP/1.1 {self.status} {REASON}"]
        headers = {"Content-Length": str(length)} if self.framed else {"Connection": "close"}
        lines += [f"{name}: {value}" for name, value in {**headers, **self.headers}.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def bytes(self):
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Half:
    """Send the head and half of the body, then close the connection."""

    answer: ScriptedResponse


@dataclass(frozen=True)
class Slow:
    """Send a response byte by byte until the client closes: the head, or an endless body."""

    part: str  # "head" or "body"
    gap_s: float = 0.01


@dataclass(frozen=True)
class Raw:
    """Send bytes, which need not be HTTP, then close the connection."""

    content: bytes


@dataclass(frozen=True)
class Twice:
    """Send a response, and after the gate opens the same response again, although there is no second request."""

    answer: ScriptedResponse
    gate: threading.Event


@dataclass(frozen=True)
class Early:
    """Send a response after the first bytes of a request, and read no more of the request."""

    answer: ScriptedResponse


class DropUnread:
    """Close the connection without reading the request."""


class DropRead:
    """Read the whole request, as a service that processes it, then close the connection without a response."""


class Hang:
    """Read the request and send nothing until the client closes."""


@dataclass(frozen=True)
class Tunnel:
    """Act as a proxy after CONNECT: forward all bytes to a port of this machine, and back."""

    port: int


class ScriptedServer:
    """Carries out one step of its script per request, or a step that a function returns, and records the requests."""

    def __init__(self, *steps, answer: Callable[[Received], object] | None = None, tls=None, listens=True):
        self._steps = queue.SimpleQueue()
        self.then(*steps)
        self._answer = answer
        self._tls = tls
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listens = listens
        self.port = self._listener.getsockname()[1]
        self.received: list[Received] = []
        self.connections = 0
        self.unexpected: list[Received] = []
        #: Set when a client has closed the connection during `Hang` or `Slow`.
        self.client_left = threading.Event()

    def then(self, *steps):
        for step in steps:
            self._steps.put(step)

    @property
    def base_url(self):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1.0"

    @property
    def targets(self):
        return [received.target for received in self.received]

    def listen(self):
        """Start to accept connections. Until then they are refused."""
        if not self._threads:
            self._listener.listen()
            self._start(self._accept)

    def stop_listening(self):
        """Refuse new connections, and end the open ones."""
        self._end()

    def __enter__(self):
        if self._listens:
            self.listen()
        return self

    def __exit__(self, kind, *_):
        self._end()
        if kind is None:
            assert not self.unexpected, f"requests without a step in the script: {self.unexpected}"
            assert self._steps.empty(), f"{self._steps.qsize()} steps of the script were not used"

    def _end(self):
        self._closing.set()
        if self._threads:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                pass  # ends accept() on every platform
        with self._lock:
            for connection in self._open:
                _shut(connection)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            connection, _address = self._listener.accept()
            if self._closing.is_set():
                connection.close()
                return
            self.connections += 1
            with self._lock:
                self._open.add(connection)
            self._start(self._serve, connection, self.connections)

    def _serve(self, connection, number):
        plain = connection
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection.makefile("rb") as stream:
                while self._serve_one(connection, stream, number):
                    pass
        except OSError:
            pass  # the client went away, or the test is over
        finally:
            with self._lock:
                self._open.discard(plain)
                connection.close()
                plain.close()

    def _serve_one(self, connection, stream, number):
        if not stream.peek(1):
            return False
        step = self._next_unread()
        if isinstance(step, DropUnread):
            return False
        if isinstance(step, Early):
            self._carry_out(step.answer, connection)
            self._closing.wait(10)
            return False
        received = _read_request(stream, number)
        with self._lock:
            self.received.append(received)
        if step is None:
            step = self._answer(received) if self._answer else None
        if step is None:
            self.unexpected.append(received)
            step = ScriptedResponse(418, {"error": "the script of the test has ended"})
        return self._carry_out(step, connection)

    def _next_unread(self):
        try:
            return self._steps.get_nowait()
        except queue.Empty:
            return None

    def _carry_out(self, step, connection):
        if isinstance(step, ScriptedResponse):
            body = step.bytes()
            connection.sendall(step.head(len(body)) + body)
            return step.framed
        if isinstance(step, Half):
            body = step.answer.bytes()
            connection.sendall(step.answer.head(len(body)) + body[: len(body) // 2])
        elif isinstance(step, Twice):
            self._carry_out(step.answer, connection)
            step.gate.wait(10)
            return self._carry_out(step.answer, connection)
        elif isinstance(step, Raw):
            connection.sendall(step.content)
        elif isinstance(step, Slow):
            self._dribble(step, connection)
        elif isinstance(step, Hang):
            while not self._closing.is_set() and connection.recv(1):
                pass
            self.client_left.set()
        elif isinstance(step, Tunnel):
            with socket.create_connection(("127.0.0.1", step.port)) as far:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pump, args=(far, connection))
                back.start()
                _pump(connection, far)
                back.join()
        return False

    def _dribble(self, step, connection):
        head = ScriptedResponse(
            200, framed=False, headers={"X-Long": "x" * 20_000} if step.part == "head" else {}
        ).head(0)
        if step.part == "body":
            connection.sendall(head)
            head = b""
        try:
            for at in range(20_000):
                if self._closing.wait(step.gap_s):
                    return
                connection.sendall(head[at : at + 1] or b" ")
        except OSError:
            self.client_left.set()


def _shut(connection):
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _pump(source, target):
    with contextlib.suppress(OSError):
        while received := source.recv(2**16):
            target.sendall(received)
    _shut(target)


def _read_request(stream, number):
    method, target, _version = stream.readline().decode("latin-1").split(" ", 2)
    headers = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Received(method, target, headers, body, number)


STATE = {"offer_state_id": 7, "member_id": 2, "offer_id": 3, "status": "incomplete", "external_ref_id": "r-1"}
RECEIPT = {"id": 7, "member_id": 2, "offer_id": 3, "campaign_id": "SUMMER26", "credential_identifier": "VK32"}
INDEX = {"page": 1, "per_page": 50, "total_entries": 1, "total_pages": 1, "offer_states": [{"offer_state": STATE}]}

# Values that each operation accepts.
VALUES = {
    "issue_offer": {"campaign_id": "SUMMER26", "member_id": 2, "external_ref_id": "r-1"},
    "issue_offer_state": {"member_id": 2, "offer_id": 3, "external_ref_id": "r-1"},
    "create_offer_state": {"offer_id": 3, "channel_id": 4, "external_ref_id": "r-1"},
    "get_offer_state": {"member_id": 2, "offerstate_id": 7},
    "get_offer_state_by_offer": {"member_id": 2, "offer_id": 3},
    "list_offer_states": {"member_id": 2},
    "query_offer_states": {"external_ref_id": "r-1"},
    "update_offer_state": {"member_id": 2, "offerstate_id": 7, "value": 5},
    "redeem_offer_state": {"member_id": 2, "offerstate_id": 7},
    "void_offer_state": {"member_id": 2, "offerstate_id": 7},
    "void_offer_state_by_identifier": {"offerstate_id": 7, "member_identifier": "m-2"},
}


def success(endpoint):
    """Build the response of a successful operation."""
    bodies = {
        "receipt": {"offer_state": RECEIPT},
        "offer_state": {"offer_state": STATE, "errors": {}},
        "offer_states": INDEX,
        "nothing": b"",
    }
    return ScriptedResponse(endpoint.success, bodies[endpoint.answer])
