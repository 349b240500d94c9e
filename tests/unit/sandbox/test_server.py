"""Authentication, unreadable requests and the admin routes of the sandbox."""

from __future__ import annotations

import gzip

import pytest
from sandbox_client import SandboxClient

from sparkfly_nb.api.endpoints import ENDPOINTS

MEMBER = 1009


# ---- authentication --------------------------------------------------------------------------------------------------


def test_valid_credentials_get_a_token(client):
    response = client.authenticate()

    assert (response.status_code, response.content, len(response.headers["X-Auth-Token"]) > 20) == (204, b"", True)


@pytest.mark.parametrize("wrong", [{}, {"X-Auth-Key": "wrong"}, {"X-Auth-Identity": "wrong"}, {"X-Auth-Key": "\xe9"}])
def test_wrong_credentials_are_rejected(wrong, client):
    headers = {**client.credentials, **wrong} if wrong else {}

    response = client.session.post(f"{client.root}/auth", headers=headers, timeout=10)

    assert (response.status_code, response.json()) == (401, {"error": "Invalid credentials"})


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)
@pytest.mark.parametrize("token", [None, "", "wrong", "\xe9"])
def test_every_operation_without_a_valid_token_responds_401(endpoint, token, client):
    path = endpoint.path.format(member_id=MEMBER, offerstate_id=1, offer_id=301)

    response = client.call(endpoint.method, path, headers={"X-Auth-Token": token})

    assert (response.status_code, response.content) == (401, b"")


def test_expire_tokens_invalidates_all_tokens(sandbox):
    with SandboxClient(sandbox) as client:
        sandbox.expire_tokens()
        ended = client.call("GET", f"/members/{MEMBER}/offer_states").status_code
        client.authenticate()
        renewed = client.call("GET", f"/members/{MEMBER}/offer_states").status_code

    assert (ended, renewed) == (401, 200)


# ---- requests that cannot be read ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "headers"),
    [
        (b"", None),
        (b"{", None),
        (b"null", None),
        (b"[]", None),
        (b'"text"', None),
        (b'{"offer_state": null}', None),
        (b'{"offer_state": []}', None),
        (b'{"offer_state": {}, "more": 1}', None),
        (b'{"offer_state": {"campaign_id": "\xff\xfe"}}', None),
        (b'{"offer_state": {"campaign_id": "\\ud800", "member_id": 1009}}', None),
        (b'{"offer_state": {"campaign_id": NaN}}', None),
        (b'{"offer_state": ' + b"[" * 100_000, None),
        (b"\0" * 100, None),
        (b"no gzip", {"Content-Encoding": "gzip"}),
        (gzip.compress(b"{}", mtime=0), {"Content-Encoding": "deflate"}),
    ],
)
def test_unreadable_request_body_is_rejected(raw, headers, client):
    response = client.call("POST", "/members/offer_states/issue", raw=raw, headers=headers)

    assert 400 <= response.status_code < 500


def test_too_large_request_body_is_rejected(client):
    response = client.call("POST", "/members/offer_states/issue", raw=b"[" + b"1," * 1_000_000)

    assert (response.status_code, response.json().keys()) == (413, {"error"})


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (f"/members/{10**30}/offer_states", {}),
        ("/members/-1/offer_states", {}),
        ("/members/x%00y/offer_states", {}),
        ("/members/%ff/offer_states", {}),
        ("/members/%2e%2e/offer_states", {}),
        ("/members/1%2f2/offer_states", {}),
        ("/members/1009/offer_states/{x}", {}),
        ("/members/1009/offers/999", {}),
        ("/members/offer_states", {}),
        ("/members/offer_states", {"token": "é"}),
        ("/members/offer_states", {"credential_identifier": "VK0000000"}),
        ("/members/offer_states", {"eligible_channel_id": "11"}),
        ("/members/offer_states", {"eligible_channel_id": "999", "member_id": "1009"}),
        ("/members/offer_states", {"external_ref_id": ["a", "b"]}),
        ("/members/1009/offer_states", {"page": "0"}),
        ("/members/1009/offer_states", {"page": "1.5"}),
        ("/members/1009/offer_states", {"per_page": str(2**64)}),
        ("/members/1009/offer_states", {"colour": "green"}),
        ("/nowhere", {}),
    ],
)
def test_request_for_unknown_path_or_record_is_rejected(path, query, client):
    response = client.call("GET", path, query=query)

    assert response.status_code in (404, 422)
    assert "error" in response.json()


def test_unsupported_method_is_rejected_with_allowed_methods(client):
    response = client.call("DELETE", "/members/offer_states")

    assert (response.status_code, response.headers["Allow"], "error" in response.json()) == (405, "GET,POST", True)


# ---- admin routes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["members", "merchant", "truth", "faults", "expire_tokens", "refuse_connections"])
def test_admin_routes_require_the_admin_secret(what, client):
    method = "GET" if what in {"members", "merchant", "truth"} else "POST"

    response = client.session.request(method, f"{client.root}/_sandbox/{what}", timeout=10)

    assert response.status_code == 403
