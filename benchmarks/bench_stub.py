"""What the stub server itself can do, asked by clients that do nothing but write prepared bytes and count answers."""

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
ANSWERS = {"issue": 100_000, "list": 10_000}


class RawClient(asyncio.Protocol):
    """One connection with one request in flight; every answer has the length of the first one, or nearly."""

    def __init__(self, request, take, over):
        self._request = request
        self._take = take
        self._over = over
        self._waiting_bytes = 0

    def connection_made(self, transport):
        self._transport = transport
        self._ask()

    def _ask(self):
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
            self._ask()


async def ask_many(host, port, what, answers):
    """Ask so often, on some connections; give the seconds that it took."""
    loop = asyncio.get_running_loop()
    left, open_connections, over = answers, CONNECTIONS, loop.create_future()

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


def side(base_url, what, answers):
    """Print the figures of one client, in the process that it has to itself."""
    host, _, port = base_url.removeprefix("http://").removesuffix("/v1.0").partition(":")
    seconds = uvloop.run(ask_many(host, int(port), what, answers))
    print(json.dumps({"rows": answers, "seconds": seconds}))


def measure(what, clients, answers):
    """Let some clients ask at once; give answers per second, and the server's processor time per answer."""
    with running_stub() as stub:
        before = stub.counts()["cpu_s"]
        figures = in_fresh_processes(__file__, [(stub.base_url, what, answers // clients)] * clients)
        used_s = stub.counts()["cpu_s"] - before
    rate = sum(one["rows"] for one in figures) / max(one["seconds"] for one in figures)
    return [f"{what}, {clients} client{'s' * (clients > 1)}", f"{rate:,.0f}", f"{used_s / answers * 1e6:.1f}",
            f"{answers / used_s:,.0f}"]  # fmt: skip


def main():
    """Print what the stub server can do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", nargs=3, metavar=("URL", "WHAT", "ANSWERS"))
    parser.add_argument("--quick", action="store_true", help="a few answers: shows that it runs, no more")
    options = parser.parse_args()
    if options.side:
        base_url, what, answers = options.side
        side(base_url, what, int(answers))
        return
    print_machine()
    print_table(
        f"the stub server, {CONNECTIONS} connections per client",
        ["", "answers/s", "its CPU µs/answer", "answers/s of its CPU"],
        [measure(what, clients, answers // (100 if options.quick else 1))
         for what, answers in ANSWERS.items() for clients in (1, 2)],
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
