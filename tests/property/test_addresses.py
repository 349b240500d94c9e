"""Addresses follow their template for any value, and all libraries parse and send them alike."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import requests
from depth import examples
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_server import VALUES, ScriptedResponse, ScriptedServer
from urllib3.util import parse_url
from yarl import URL

from sparkfly_nb import Session
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.inputs import build
from sparkfly_nb.api.request import address_of, assemble
from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.bulk.worker.messages import WorkerConfig
from sparkfly_nb.errors import ConfigurationError, InvalidInput, SparkflyError
from sparkfly_nb.http.async_client import AsyncClientConfig, open_client
from sparkfly_nb.settings import Secret, Settings

BASES = ("https://api.sparkfly.com/v1.0", "http://127.0.0.1:8080/v1.0", "https://[::1]:8443/proxy/v1.0")
ATTACKS = (
    "..", ".", "../..", "..%2f..", "%2e%2e", "%2E%2E%2F", "..;/", "/..", "//evil.example", "\\\\evil.example",
    "@evil.example", "a&b=c", "1@evil.example/", "?x=1", "1#y", "1;v=2", "1%00", "1%0d%0aHost: evil", "1\r\nHost: evil",
    "1\nGET / HTTP/1.1", "1 HTTP/1.1", "http://evil.example/", "%", "%zz", "%u002e", "\uff0e\uff0e", "\u2024\u2024/",
    "\u2215", "\uff11", "\u202e1", "\ud800", "\x00", "\x7f", "é", "e\u0301", "😀", "+", "a+b", "a b", "~", "[::1]",
    "{member_id}", "{offerstate_id}", "x" * 5000, "😀" * 900,
)  # fmt: skip
TRICKY = (
    st.sampled_from(ATTACKS)
    | st.text(st.sampled_from("./\\?#%&=+;:@[]{}|^ \t\r\n\x00aé2eEfF\u202e😀"), max_size=12)
    | st.text(max_size=20)
    | st.integers()
    | st.floats()
)


@st.composite
def operations(draw):
    """Draw an operation, and a value for each field in its address."""
    endpoint = draw(st.sampled_from(list(ENDPOINTS.values())))
    values = dict(VALUES[endpoint.name])
    for field in endpoint.fields:
        if field.place != "body" and (field.name in values or draw(st.booleans())):
            values[field.name] = draw(TRICKY) if draw(st.integers(0, 3)) else values.get(field.name, draw(TRICKY))
    return endpoint, values


def template(endpoint, base_path="/v1.0"):
    return re.compile(re.sub(r"\\{\w+\\}", "([^/?#]+)", re.escape(base_path + endpoint.path)))


def assert_within(endpoint, sent, target, base_path="/v1.0"):
    """Check that the target of a request has the segments and the query of the template, and no more."""
    assert re.fullmatch(r"[A-Za-z0-9._~%/?=&-]+", target), "it has only characters with one meaning"
    path, mark, query = target.partition("?")
    segments = template(endpoint, base_path).fullmatch(path).groups()
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    assert [unquote(segment, errors="strict") for segment in segments] == [str(sent[name]) for name in names]
    assert not {".", ".."} & {unquote(segment) for segment in segments}
    pairs = parse_qsl(query, keep_blank_values=True, errors="strict") if mark else []
    assert pairs == [(f.name, str(sent[f.name])) for f in endpoint.fields if f.place == "query" and f.name in sent]


@examples(300)
@given(operations(), st.sampled_from(BASES))
@example((ENDPOINTS["query_offer_states"], {"external_ref_id": "a&token=b#d+e%20f"}), BASES[0])
def test_all_libraries_parse_an_address_alike(call, base_url):
    endpoint, values = call
    try:
        request, sent = build(endpoint, values)
    except InvalidInput:
        return
    address, base = address_of(base_url, request), urlsplit(base_url)

    prepared = requests.PreparedRequest()
    prepared.prepare(method="GET", url=base_url)
    prepared.url = address
    split, other, yarl = urlsplit(address), parse_url(address), URL(address, encoded=True)
    ways = (
        (split.scheme, split.hostname, split.port, prepared.path_url),
        (other.scheme, other.host.strip("[]"), other.port, other.request_uri),
        (yarl.scheme, yarl.host, yarl.explicit_port, yarl.raw_path_qs),
    )
    for scheme, host, port, target in ways:
        assert (scheme, host, port) == (base.scheme, base.hostname, base.port)
        assert_within(endpoint, sent, target, base.path)
    assert len({target for *_, target in ways}) == 1
    assert (split.fragment, split.username) == ("", None)


@pytest.fixture(scope="module")
def clients():
    """One server and one Session for all examples."""
    with (
        ScriptedServer(answer=lambda _received: ScriptedResponse(404, {"error": "not found"})) as server,
        Session("sandbox", base_url=server.base_url, token="given-token") as session,
    ):
        yield server, session


def wiring(base_url):
    return WorkerConfig(
        AsyncClientConfig(base_url, Secret("given-token"), 5, 5, True), 1, None, RetryPolicy(), "nobody"
    )


@examples(120)
@given(operations())
def test_single_and_bulk_calls_send_the_same_request(clients, call):
    server, session = clients
    endpoint, values = call
    before = len(server.received)

    async def in_bulk(request):
        async with open_client(wiring(server.base_url).client) as client:
            return await client.send(request)

    try:
        session._client.call(endpoint, **values)
    except InvalidInput:
        assert len(server.received) == before
        return
    except SparkflyError:
        pass  # the server answers 404
    request, sent = build(endpoint, values)
    asyncio.run(in_bulk(request))

    single, bulk = server.received[before:]
    assert (single.method, single.target, single.body) == (bulk.method, bulk.target, bulk.body)
    assert single.method == endpoint.method
    assert_within(endpoint, sent, single.target)
    for received in (single, bulk):
        assert received.headers["host"] == f"127.0.0.1:{server.port}"
        assert set(received.headers) <= {
            "host", "accept", "accept-encoding", "user-agent", "content-type", "content-length", "x-auth-token",
            "connection",
        }  # fmt: skip


@examples(200)
@given(operations())
def test_unchecked_values_stay_in_their_path_segment(call):
    """Workers build addresses from values that the plan has checked, and never from an unread response."""
    endpoint, values = call
    in_path = {field.name for field in endpoint.fields if field.place == "path"}
    sent = {name: value for name, value in values.items() if not (name in in_path and str(value) in ("", ".", ".."))}
    if in_path - sent.keys() or any("\ud800" in str(value) for value in sent.values()):
        return

    path = assemble(endpoint, {name: str(value) for name, value in sent.items()}).path

    assert template(endpoint, "").fullmatch(path)


HOSTS = st.sampled_from(
    ("localhost", "127.0.0.1", "[::1]", "api.sparkfly.com", "LOCALHOST", "127.0.0.1.evil.example",
     "localhost.evil.example", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]", "[::1%25eth0]", "ⓛocalhost",
     "localhost.", "127.0.0.1:80@evil.example", "evil.example#@localhost", "evil.example\\@localhost",
     "[::1]evil.example", "local\thost", "127。0。0。1", "")
)  # fmt: skip


@examples(300)
@given(
    st.sampled_from(("http", "https", "HTTP", "ftp", "file", "")),
    HOSTS | st.text(max_size=8),
    st.sampled_from(("", ":", ":80", ":443", ":8080", ":0", ":99999", ":x", ":٣")),
    st.sampled_from(
        (
            "/v1.0",
            "/v1.0/",
            "/proxy/v1.0",
            "/../v1.0",
            "/%2e%2e/v1.0",
            "/é/v1.0",
            "//evil.example/v1.0",
            "/v1.0?x=1",
            "",
        )
    )
    | st.text(max_size=5).map(lambda text: f"/{text}/v1.0"),
)
def test_libraries_parse_base_url_alike_and_it_is_encrypted(scheme, host, port, path):
    try:
        settings = Settings.make("sandbox", base_url=f"{scheme}://{host}{port}{path}", token="t-12345678")
    except ConfigurationError:
        return
    address = settings.base_url

    parts, other, yarl = urlsplit(address), parse_url(address), URL(address, encoded=True)
    assert (
        parts.scheme == "https"
        or parts.hostname in ("localhost", "::1")
        or re.fullmatch(r"127(\.\d+){3}", parts.hostname)
    )
    assert parts.scheme == other.scheme == yarl.scheme
    assert (other.host or "").strip("[]") == yarl.raw_host == parts.hostname
    assert parts.port == other.port == yarl.explicit_port
    assert parts.path == other.path == yarl.raw_path
    assert Settings.make("sandbox", base_url=address, token="t-12345678").base_url == address
