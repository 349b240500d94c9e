"""Cassettes: recording without secrets, and replay without a network."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import orjson
import vcr
import vcr.stubs
import yaml
from cassette_scenarios import ALL, World
from paths import ROOT
from vcr.errors import CannotOverwriteExistingCassetteException
from vcr.serializers import yamlserializer

from sparkfly_nb import Session
from sparkfly_nb.api.endpoints import IDENTITY_HEADER, KEY_HEADER, TOKEN_HEADER
from sparkfly_nb.api.retry_policy import RetryPolicy

CASSETTES = ROOT / "cassettes"
#: The address in every cassette. Names below .example never resolve.
RECORDED_ROOT = "https://sparkfly.example"
REPLACEMENT = "replaced-before-writing"
SECRET_HEADERS = {name.lower() for name in (TOKEN_HEADER, IDENTITY_HEADER, KEY_HEADER)}
#: Other headers reveal the time and place of the recording, or do not match a rewritten body.
KEPT_HEADERS = SECRET_HEADERS | {"content-type", "retry-after"}
#: Fields that must not be published: with its token, anybody can take over an offer state.
STAND_INS = {"token": "offer-state-token", "credential_identifier": "credential"}
TWO_QUICK_TRIES = RetryPolicy(attempts=2, base_delay=0.0)


def stand_in(field, text):
    """Return the replacement of a value. The same value gets the same replacement, and replacements stay unchanged."""
    prefix = f"{STAND_INS[field]}-"
    if text.startswith(prefix):
        return text
    return prefix + hashlib.sha256(text.encode()).hexdigest()[:12]


def _valuable(value):
    """Find the values to replace in a parsed body, as pairs of field and text."""
    if isinstance(value, list):
        return [pair for entry in value for pair in _valuable(entry)]
    if not isinstance(value, dict):
        return []
    return [
        pair
        for name, entry in value.items()
        for pair in ([(name, entry)] if name in STAND_INS and isinstance(entry, str) and entry else _valuable(entry))
    ]


def _clean_body(body):
    try:
        pairs = _valuable(orjson.loads(body))
    except orjson.JSONDecodeError:
        return body
    text = body.decode()
    for name, value in pairs:
        text = text.replace(value, stand_in(name, value))  # in the whole text, because URLs contain the values too
    return text.encode()


def _clean_headers(headers):
    return {
        name: [REPLACEMENT] if name.lower() in SECRET_HEADERS else values
        for name, values in headers.items()
        if name.lower() in KEPT_HEADERS
    }


def _clean_address(address, root):
    if root is not None and address.startswith(root):
        address = RECORDED_ROOT + address.removeprefix(root)
    parts = urlsplit(address)
    query = [
        (name, stand_in(name, text) if name in STAND_INS else text)
        for name, text in parse_qsl(parts.query, keep_blank_values=True)
    ]
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


class ReplayedResponse(vcr.stubs.VCRHTTPResponse):
    """vcrpy's response with the methods of urllib3 that our client uses and some versions of vcrpy lack."""

    def read1(self, amt=-1, *, decode_content=None):
        return self._content.read1(amt)

    def release_conn(self):
        release = getattr(super(), "release_conn", None)
        if release is not None:
            release()


class Annotated:
    """A serializer that adds the source to each cassette, and writes nothing if the cassette contains a secret."""

    def __init__(self, *, source="", world=None, secrets=lambda: ()):
        self.source, self.world, self.secrets = source, world, secrets
        self.has_refused = False

    def serialize(self, cassette):
        text = yamlserializer.serialize({"recorded_from": self.source, "world": self.world._asdict(), **cassette})
        if any(secret in text for secret in self.secrets()):
            self.has_refused = True  # not an exception, after which vcrpy would leave all connections patched
            return ""
        return f"# Recorded from {self.source} by `make cassettes`; secrets were replaced before writing.\n{text}"

    @staticmethod
    def deserialize(text):
        return {name: part for name, part in yaml.safe_load(text).items() if name in {"interactions", "version"}}


def make_vcr(*, root=None, serializer=None):
    """Build a recorder and player. `root` is the address of the recorded service."""

    def clean_request(request):
        request.method = request.method.upper()  # the async client has it in lower case
        request.uri = _clean_address(request.uri, root)
        request.headers = _clean_headers(request.headers)
        return request

    def clean_response(response):
        response["headers"] = _clean_headers(response["headers"])
        response["body"]["string"] = _clean_body(response["body"].get("string", b""))
        return response

    recorder = vcr.VCR(
        cassette_library_dir=str(CASSETTES),
        record_mode="none",
        match_on=("method", "uri", "body"),
        serializer="annotated",
        before_record_request=clean_request,
        before_record_response=clean_response,
        decode_compressed_response=True,
        custom_patches=((vcr.stubs, "VCRHTTPResponse", ReplayedResponse),),
    )
    recorder.register_serializer("annotated", serializer or Annotated())
    return recorder


def quick_session(ledger, **arguments):
    """Create a Session that makes two attempts without a pause."""
    return Session(ledger=str(ledger), retry=TWO_QUICK_TRIES, **arguments)


@contextmanager
def replayed(name, tmp_path, *, folder=CASSETTES):
    """Replay a cassette. Yield a Session, the world of the recording, and the cassette.

    Raises
    ------
    AssertionError
        A request was not recorded, or a recorded request was not sent.
    """
    path = folder / f"{name}.yaml"
    assert path.is_file(), f"{name} has no cassette {path.name}; record it with: make cassettes"
    world = World(**yaml.safe_load(path.read_text(encoding="utf-8"))["world"])
    # The recorded secrets were replaced, and headers are not compared, so any secret works.
    secrets = {"token": ALL[name].token} if ALL[name].token else {"identity": "anybody", "key": "any-key"}
    with (
        make_vcr().use_cassette(str(path)) as cassette,
        quick_session(
            tmp_path / "ledger.db", environment="staging", base_url=f"{RECORDED_ROOT}/v1.0", **secrets
        ) as session,
    ):
        try:
            yield session, world, cassette
        except CannotOverwriteExistingCassetteException as unmatched:
            raise AssertionError(
                f"{name}: this request is not in the cassette: {unmatched.failed_request.method} "
                f"{unmatched.failed_request.uri}. If you changed the request on purpose, record again with: "
                f"make cassettes\n{unmatched}"
            ) from None
    left = [f"{request.method} {request.uri}" for at, request in enumerate(cassette.requests)
            if not cassette.play_counts[at]]  # fmt: skip
    assert not left, f"{name}: recorded but not sent: {left}. If that is intended, record again with: make cassettes"
