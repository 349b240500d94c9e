"""Responses of a hostile service fill no memory, redirect no request and control no terminal."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
import warnings
import zlib
from itertools import accumulate

import aiohttp
import pandas as pd
import psutil
import pytest
from audit_world import World, state
from bulk_requests import choose
from bulk_world import CALM, CAMPAIGN, members, tiny_service
from scripted_server import RECEIPT, STATE, VALUES, Raw, ScriptedResponse, ScriptedServer, success
from tls import tls_of

from sparkfly_nb import ApiError, DataWarning, IncompleteListing, SparkflyError
from sparkfly_nb.api import pagination as paging
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.request import assemble
from sparkfly_nb.api.response import read_refusal
from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.errors import OutcomeUnknown, UnreadableAnswer
from sparkfly_nb.frames.builder import NEW_FIELDS, frame_of
from sparkfly_nb.http import async_exchange as exchange
from sparkfly_nb.http.async_client import AsyncClientConfig, RequestNotSent, ResponseLost, open_client
from sparkfly_nb.settings import Secret

LIMIT = 2**20
ONCE = RetryPolicy(attempts=1)
TIMEOUT_S = 5.0


# ---- single calls and bulk calls -------------------------------------------------------------------------------------


def send_singly(server, name, connect):
    transport = connect(
        server, policy=ONCE, max_answer_bytes=LIMIT, timeout=(5, TIMEOUT_S), attempt_timeout_s=TIMEOUT_S
    )
    return transport.call(ENDPOINTS[name], **VALUES[name])


def send_in_bulk(server, name, _connect):
    config = AsyncClientConfig(server.base_url, Secret("a-token"), 5.0, TIMEOUT_S, True)

    async def once():
        async with open_client(config) as client:
            return await client.send(assemble(ENDPOINTS[name], VALUES[name]))

    return asyncio.run(once())


@pytest.fixture(params=["single", "buffered", "fallback"])
def send(request, connect, monkeypatch):
    """Send one request in a single call, or as the bulk workers do. At most 1 MiB of the response is read."""
    monkeypatch.setattr(exchange, "MAX_RESPONSE_BYTES", LIMIT)
    if request.param != "single":
        choose(monkeypatch, request.param)
    way = send_singly if request.param == "single" else send_in_bulk
    return lambda server, name="get_offer_state": way(server, name, connect)


def chunked(*chunks, head=b""):
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + head + b"\r\n" + body)


def packed(pack, mebibytes=64):
    """Compress MiBs of spaces without keeping them in memory."""
    return b"".join(pack.compress(b" " * 2**20) for _ in range(mebibytes)) + pack.flush()


GZIP, ZLIB, RAW_DEFLATE = (lambda bits=bits: zlib.compressobj(9, zlib.DEFLATED, bits) for bits in (31, 15, -15))
BOMBS = {
    "gzip": ScriptedResponse(200, packed(GZIP()), {"Content-Encoding": "gzip"}),
    "x-gzip": ScriptedResponse(200, packed(GZIP()), {"Content-Encoding": "x-gzip"}),
    "deflate": ScriptedResponse(200, packed(ZLIB()), {"Content-Encoding": "deflate"}),
    "deflate without a header": ScriptedResponse(200, packed(RAW_DEFLATE()), {"Content-Encoding": "deflate"}),
    "gzip in gzip": ScriptedResponse(200, gzip.compress(packed(GZIP(), 512)), {"Content-Encoding": "gzip, gzip"}),
    "gzip five times": ScriptedResponse(200, gzip.compress(b" "), {"Content-Encoding": ", ".join(["gzip"] * 500)}),
    "gzip in chunks": chunked(packed(GZIP()), head=b"Content-Encoding: gzip\r\n"),
    "an encoding that was not requested": ScriptedResponse(200, b"\x00" * 2000, {"Content-Encoding": "br"}),
    "an endless body": chunked(*[b" " * 2**16] * 40),
    "an impossible length": Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}"),
    "a length beyond the limit": Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n{}"),
    "endless headers": Raw(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 0123456789\r\n" * 100_000),
    "an endless header": Raw(b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 3_000_000),
    "an endless status": Raw(b"HTTP/1.1 200 " + b"O" * 3_000_000),
    "endless trailers": Raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + b"X-Filler: 0123456789\r\n" * 100_000
    ),
    "an endless chunk extension": Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;" + b"x" * 3_000_000),
    "endless interim responses": Raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000),
    "JSON nested too deeply": ScriptedResponse(200, b"[" * 500_000 + b"]" * 500_000),
    "a number of a million digits": ScriptedResponse(
        200, b'{"offer_state": {"offer_state_id": ' + b"9" * 1_000_000 + b"}}"
    ),
    "a number too large for a float": ScriptedResponse(200, b'{"offer_state": {"offer_state_id": 1e999999999}}'),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_no_response_fills_memory_or_runs_forever(bomb, send):
    process = psutil.Process()
    before, began = process.memory_info().rss, time.monotonic()
    with ScriptedServer(answer=lambda _received: bomb) as server:  # a read may be retried
        try:
            response = send(server)
        except (SparkflyError, ResponseLost):
            response = None

    assert process.memory_info().rss - before < 150 * 2**20
    assert time.monotonic() - began < 4 * TIMEOUT_S
    assert response is None or len(str(response)) <= 2 * LIMIT


LIMITED = ("gzip", "deflate", "deflate without a header", "gzip in chunks", "an endless body",
           "a length beyond the limit")  # fmt: skip


@pytest.mark.parametrize("name", LIMITED)
def test_the_size_limit_is_in_the_error(name, send):
    with ScriptedServer(BOMBS[name]) as server, pytest.raises((UnreadableAnswer, ResponseLost), match="longer than"):
        send(server)


def test_a_change_with_a_bomb_as_response_is_unknown(send):
    with ScriptedServer(BOMBS["gzip"]) as server, pytest.raises((OutcomeUnknown, ResponseLost), match="longer than"):
        send(server, "issue_offer")


def test_requests_accept_only_gzip_and_deflate(send, monkeypatch):
    # aiohttp's default if brotli is installed, which can expand a millionfold
    usual = {**aiohttp.ClientRequest.DEFAULT_HEADERS, "Accept-Encoding": "gzip, deflate, br"}
    monkeypatch.setattr(aiohttp.ClientRequest, "DEFAULT_HEADERS", usual)
    with ScriptedServer(success(ENDPOINTS["get_offer_state"])) as server:
        send(server)

    assert server.received[0].headers["accept-encoding"] == "gzip, deflate"


# ---- listings --------------------------------------------------------------------------------------------------------


def endless(received):
    """Return new entries for every page, and no total."""
    page = int(received.target.partition("page=")[2].partition("&")[0])
    entries = [{"offer_state_id": page * 10_000 + at} for at in range(5_000)]
    return ScriptedResponse(200, [{"offer_state": entry} for entry in entries])


def test_an_endless_listing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(paging, "MAX_ENTRIES", 20_000)
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.server._answer = endless
        with pytest.raises(IncompleteListing, match="more would follow"):
            session.list_offer_states(7)

    assert len(service.server.received) == 5


def explosive(rows, fields):
    return [{"offer_state_id": row, **{f"x{row}_{at}": 1 for at in range(fields)}} for row in range(rows)]


def test_fields_that_differ_by_row_do_not_create_columns():
    """A quarter of a megabyte would become 20,000 columns with 2,000 rows."""
    with pytest.warns(DataWarning, match=r"19,000 values of new fields .* beyond the limit of 1,000 per frame"):
        frame = frame_of(explosive(2000, 10), where="test")

    assert frame["offer_state_id"].tolist() == list(range(2000))
    assert sum(name.startswith("x") for name in frame.columns) == NEW_FIELDS


def test_new_fields_within_the_limit_are_kept():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = frame_of(explosive(100, 10), where="test")

    assert sum(name.startswith("x") for name in frame.columns) == 1000


def test_event_fields_that_differ_do_not_create_columns():
    events = [{f"e{at}": 1} | {"type": "seen"} for at in range(3_000)]

    with pytest.warns(DataWarning, match="different fields"):
        activities = World([state(1, offer_activities=events)]).audit([1]).activities()

    assert len(activities) == 3_000
    assert len(activities.columns) < NEW_FIELDS + 10


# ---- addresses in responses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["https://{}/x", "http://{}/x", "//{}/x", "ftp://{}/x", "file:///etc/passwd"])
@pytest.mark.parametrize("status", [201, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", ["get_offer_state", "issue_offer"])
def test_no_response_redirects_a_request(name, status, location, send):
    with ScriptedServer() as elsewhere:
        headers = {"Location": location.format(f"127.0.0.1:{elsewhere.port}"), "Refresh": "0; url=" + location}
        body = {"offer_state": STATE if name == "get_offer_state" else RECEIPT}
        with ScriptedServer(ScriptedResponse(status, body, headers)) as server:
            try:
                response = send(server, name)
            except SparkflyError:
                response = None

        assert response is None or response.status == status
        assert elsewhere.connections == 0
        assert len(server.received) == 1


@pytest.mark.parametrize("member_id", ["..", "../../auth?x=", "7/../8", {"a": 1}, [7], True, 2.5, "7x"])
def test_a_member_id_in_a_response_must_be_a_number_in_an_address(member_id, tmp_path):
    """The readback of a row with an identifier finds the member by reference, then lists that member."""
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda _number, _record: ScriptedResponse(500)
        told = {"offer_state_id": 1, "member_id": member_id}

        def answer(received):
            if "external_ref_id" in received.target:
                return ScriptedResponse(
                    200, {"offer_state": {**told, "external_ref_id": received.target.rpartition("=")[2]}}
                )
            return service(received)

        service.server._answer = answer
        frame = pd.DataFrame({"member_identifier": ["M-1"]})
        result = session.issue_many(frame, CAMPAIGN, halt_above=1.0, **CALM)

    assert result.outcome.tolist() == ["unknown"]
    assert not [target for target in service.server.targets if "/members/offer_states" not in target]


@pytest.mark.parametrize("trusts", [False, True])
def test_bulk_and_single_calls_trust_the_same_certificates(trusts, certificate, monkeypatch, bulk_requests):
    if trusts:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    steps = [success(ENDPOINTS["get_offer_state"])] if trusts else []
    with ScriptedServer(*steps, tls=tls_of(certificate)) as server:
        if trusts:
            assert send_in_bulk(server, "get_offer_state", None).status == 200
        else:
            with pytest.raises(RequestNotSent, match="Certificate"):
                send_in_bulk(server, "get_offer_state", None)
            assert server.received == []


# ---- text in responses -----------------------------------------------------------------------------------------------

TRICKS = "no\x1b]0;owned\x07\x1b[2J\r\n2026-01-01 INFO all is well\u2028\x9b31m\u202e\x00"


@pytest.mark.parametrize("said", [{"error": TRICKS, "trace": TRICKS}, {"errors": {"base": [TRICKS]}, "trace": TRICKS}])
def test_error_text_is_one_line_without_control_characters(said, connect):
    with ScriptedServer(ScriptedResponse(403, said)) as server, pytest.raises(ApiError) as caught:
        connect(server).call(ENDPOINTS["get_offer_state"], **VALUES["get_offer_state"])

    shown = f"{caught.value} {caught.value.reason} {caught.value.trace}"
    assert shown.isprintable(), ascii(shown)
    assert "all is well" in shown


def test_error_text_in_a_success_is_one_line(connect):
    said = {"offer_state": RECEIPT, "errors": TRICKS}
    with ScriptedServer(ScriptedResponse(201, said)) as server, pytest.raises(OutcomeUnknown) as caught:
        connect(server).call(ENDPOINTS["issue_offer"], **VALUES["issue_offer"])

    assert str(caught.value).partition("\n")[0].isprintable()


def test_error_text_in_any_language_is_unchanged():
    assert read_refusal(422, '{"error": "ungültig: 無効, غير صالح 😀"}'.encode())[0] == "ungültig: 無効, غير صالح 😀"


def test_a_bulk_result_has_no_control_characters(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda _number, _record: ScriptedResponse(422, {"error": TRICKS, "trace": TRICKS})
        result = session.issue_many(members([1]), CAMPAIGN, halt_above=1.0, **CALM)

    assert result["error"].iloc[0].isprintable()
    assert result["trace"].iloc[0].isprintable()


def test_the_repr_of_an_audit_has_no_control_characters():
    audit = World([state(1, offer_campaign_name=TRICKS)]).audit([1])

    assert all(line.isprintable() for line in repr(audit).split("\n"))
    assert len(repr(audit).split("\n")) == 3


def test_a_dollar_sign_in_an_audit_is_not_rendered_as_math():
    page = (
        World([state(1, offer_campaign_name=r"$5 off, $\href{javascript:alert(1)}{click}$")]).audit([1])._repr_html_()
    )

    assert page.startswith("<div class='tex2jax_ignore mathjax_ignore'>")
    depths = list(accumulate(-1 if tag == "</div" else 1 for tag in re.findall("</?div", page)))
    assert depths.index(0) == len(depths) - 1, "everything is inside"
    assert page.endswith("</div>")


def test_a_huge_error_text_is_shortened(connect):
    with (
        ScriptedServer(ScriptedResponse(403, {"error": {"x": "y" * 900_000}})) as server,
        pytest.raises(ApiError) as caught,
    ):
        connect(server).call(ENDPOINTS["get_offer_state"], **VALUES["get_offer_state"])

    assert len(str(caught.value)) < 1_200


def test_a_row_stays_unknown_if_the_readback_is_a_bomb(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda _number, _record: ScriptedResponse(500)
        bomb = BOMBS["JSON nested too deeply"]
        service.server._answer = lambda received: bomb if received.method == "GET" else service(received)
        result = session.issue_many(members([1]), CAMPAIGN, halt_above=1.0, **CALM)

    assert result.outcome.tolist() == ["unknown"]
    assert len(service.issues()) == 1
