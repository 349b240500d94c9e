"""Measure the stub server itself with clients that only write prepared bytes and count responses."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import orjson
import uvloop
from harness import in_fresh_processes, print_machine, print_table
from stub_server import running_stub

CONNECTIONS = 32
ISSUE = orjson.dumps(
    {"offer_state": {"campaign_id": "SUMMER26", "member_id": 100_000_001, "external_ref_id": "nb-" + "a" * 24}}
)
REQUESTS = {
    "issue": b"POST /v1.0/members/offer_states/issue HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Auth-Token: t\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(ISSUE), ISSUE),
    "list": b"GET /v1.0/members/100000001/offer_states?page=1&per_page=5000 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"X-Auth-Token: t\r\n\r\n",
}
RESPONSES = {"issue": 100_000, "list": 10_000}


class RawClient(asyncio.Protocol):
    """One connection with one request in flight."""

    def __init__(self, request, take, over):
        self._request = request
        self._take = take
        self._over = over
        self._waiting_bytes = 0

    def connection_made(self, transport):
        self._transport = transport
        self._send()

    def _send(self):
        if self._take():
            self._transport.write(self._request)
        else:
            self._over()
            self._transport.close()

    def data_received(self, received):
        if not self._waiting_bytes:
            head_end = received.index(b"\r\n\r\n") + 4
            length = received.index(b"Content-Length: ") + 16
            self._waiting_bytes = head_end + int(received[length : received.index(b"\r", length)])
        self._waiting_bytes -= len(received)
        if not self._waiting_bytes:
            self._send()


async def send_many(host, port, what, responses):
    """Send requests on several connections. Return the seconds that they took."""
    loop = asyncio.get_running_loop()
    left, open_connections, over = responses, CONNECTIONS, loop.create_future()

    def take():
        nonlocal left
        left -= 1
        return left >= 0

    def end():
        nonlocal open_connections
        open_connections -= 1
        if not open_connections:
            over.set_result(None)

    began = time.perf_counter()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: RawClient(REQUESTS[what], take, end), host, port)
    await over
    return time.perf_counter() - began


def side(base_url, what, responses):
    """Print the figures of one client, which has this process to itself."""
    host, _, port = base_url.removeprefix("http://").removesuffix("/v1.0").partition(":")
    seconds = uvloop.run(send_many(host, int(port), what, responses))
    print(json.dumps({"rows": responses, "seconds": seconds}))


def measure(what, clients, responses):
    """Run several clients at once. Return responses per second, and the server's CPU time per response."""
    with running_stub() as stub:
        before = stub.counts()["cpu_s"]
        figures = in_fresh_processes(__file__, [(stub.base_url, what, responses // clients)] * clients)
        used_s = stub.counts()["cpu_s"] - before
    rate = sum(one["rows"] for one in figures) / max(one["seconds"] for one in figures)
    return [f"{what}, {clients} client{'s' * (clients > 1)}", f"{rate:,.0f}", f"{used_s / responses * 1e6:.1f}",
            f"{responses / used_s:,.0f}"]  # fmt: skip


def main():
    """Print the speed of the stub server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", nargs=3, metavar=("URL", "WHAT", "RESPONSES"))
    parser.add_argument("--quick", action="store_true", help="a few responses, to check that the benchmark runs")
    options = parser.parse_args()
    if options.side:
        base_url, what, responses = options.side
        side(base_url, what, int(responses))
        return
    print_machine()
    print_table(
        f"the stub server, {CONNECTIONS} connections per client",
        ["", "responses/s", "CPU µs/response", "responses per CPU second"],
        [measure(what, clients, responses // (100 if options.quick else 1))
         for what, responses in RESPONSES.items() for clients in (1, 2)],
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
