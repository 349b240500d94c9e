"""A minimal, fast Sparkfly service: prepared responses over plain sockets, without any storage.

``python benchmarks/stub_server.py --latency-ms 50`` prints its address and serves until its standard input ends. The
server responds to an issue with a receipt for the member, to a listing with 20 offer states of all 38 fields, and to
``GET /count`` with its numbers of responses and its CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import orjson
import uvloop
from samples import offer_state

TOKEN = "benchmark-token"
STATES_PER_MEMBER = 20
#: The placeholder of the member ID in the prepared listing. The digits appear nowhere else in the listing.
MEMBER = 987654321
MEMBER_IN_BODY = re.compile(rb'"member_id": ?(\d+)')
NO_MEMBER = (b"", b"0")
LENGTH_IN_HEAD = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CREATED = (
    b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    b'{"offer_state":{"id":%d,"member_id":%b,"offer_id":301,"campaign_id":"SUMMER26","credential_identifier":"VK%d"}}'
)
RECEIPT_BYTES = len(CREATED.partition(b"\r\n\r\n")[2]) - len(b"%d%b%d")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
AUTHENTICATED = b"HTTP/1.1 204 No Content\r\nX-Auth-Token: " + TOKEN.encode() + b"\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def prepared_listing():
    """Return the parts of a listing of 20 offer states. Joined by a member ID, they are that member's listing."""
    rng = random.Random(26)
    states = []
    for place in range(STATES_PER_MEMBER):
        state = offer_state(place, rng)
        state |= {
            "member_id": MEMBER,
            "offer_state_id": int(f"{MEMBER}{place:02}"),
            "external_ref_id": f"sf-{MEMBER}-{place:010}",
            "credential_identifier": f"VK{MEMBER}{place:02}",
            "updated_at": f"{state['updated_at'][:19]}.{MEMBER}Z",
            "token": f"{state['token'][:13]}{MEMBER}",
        }
        states.append({"offer_state": state, "errors": {}})
    index = {"page": 1, "per_page": 5000, "total_entries": len(states), "total_pages": 1, "offer_states": states}
    return orjson.dumps(index).split(str(MEMBER).encode())


class Counts:
    """The numbers of responses and connections so far."""

    issued = listed = connections = 0

    def shown(self):
        return orjson.dumps({"issued": self.issued, "listed": self.listed, "connections": self.connections,
                             "cpu_s": time.process_time()})  # fmt: skip


class StubProtocol(asyncio.Protocol):
    """One connection."""

    listing = prepared_listing()
    counts = Counts()
    latency_s = 0.0

    def connection_made(self, transport):
        self._transport = transport
        self._unread = b""
        self.counts.connections += 1

    def data_received(self, received):
        unread = self._unread + received
        while (head_end := unread.find(b"\r\n\r\n")) >= 0:
            length = LENGTH_IN_HEAD.search(unread, 0, head_end)
            end = head_end + 4 + (int(length[1]) if length else 0)
            if len(unread) < end:
                break
            self._respond(unread[:end], head_end)
            unread = unread[end:]
        self._unread = unread

    def _respond(self, request, head_end):
        if request.startswith(b"POST /v1.0/members/offer_states/issue "):
            counts = self.counts
            counts.issued += 1
            member = (MEMBER_IN_BODY.search(request, head_end) or NO_MEMBER)[1]
            key = 70_000_000 + counts.issued
            response = CREATED % (RECEIPT_BYTES + len(member) + 2 * len(b"%d" % key), key, member, key)
        elif request.startswith(b"GET /v1.0/members/"):
            self.counts.listed += 1
            body = request[18 : request.find(b"/", 18)].join(self.listing)
            response = OK % (len(body), body)
        elif request.startswith(b"POST /auth"):
            response = AUTHENTICATED
        elif request.startswith(b"GET /count "):
            body = self.counts.shown()
            response = OK % (len(body), body)
        else:
            response = NOT_FOUND
        if self.latency_s:
            asyncio.get_running_loop().call_later(self.latency_s, self._transport.write, response)
        else:
            self._transport.write(response)


async def serve(port):
    """Serve on loopback until standard input ends, so that the server stops with the benchmark that started it."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(StubProtocol, "127.0.0.1", port, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1.0", flush=True)
    over = asyncio.Event()

    def look():
        if not sys.stdin.buffer.read1():
            over.set()

    loop.add_reader(sys.stdin.fileno(), look)
    await over.wait()
    server.close()


class Stub:
    """A running stub server."""

    def __init__(self, base_url):
        self.base_url = base_url

    def counts(self):
        with urllib.request.urlopen(self.base_url.removesuffix("/v1.0") + "/count", timeout=30) as response:
            return orjson.loads(response.read())


@contextmanager
def running_stub(latency_ms=0.0):
    """Start a stub server in a separate process, and stop it at the end."""
    command = [sys.executable, str(Path(__file__).resolve()), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        if not address:
            raise SystemExit("the stub server did not start")
        yield Stub(address)
        process.stdin.close()


def main():
    """Run the stub server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the port; 0 (the default) picks a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="milliseconds before each response")
    options = parser.parse_args()
    StubProtocol.latency_s = options.latency_ms / 1e3
    uvloop.run(serve(options.port))


if __name__ == "__main__":
    main()
