"""A small client of the sandbox for tests. It does not retry or check, so that a test sees the raw response."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from sparkfly_nb.api.endpoints import AUTH_PATH, IDENTITY_HEADER, KEY_HEADER, TOKEN_HEADER


class SandboxClient:
    """Calls below ``/v1.0`` with a token."""

    def __init__(self, sandbox, *, timeout_s=30):
        self.timeout_s = timeout_s
        self.base_url = sandbox.base_url
        self.root = sandbox.base_url.removesuffix("/v1.0")
        self.address = (urlsplit(self.root).hostname, urlsplit(self.root).port)
        self.credentials = {IDENTITY_HEADER: sandbox.identity.reveal(), KEY_HEADER: sandbox.key.reveal()}
        self.session = requests.Session()
        self.session.trust_env = False
        self.authenticate()

    def authenticate(self):
        response = self.session.post(self.root + AUTH_PATH, headers=self.credentials, timeout=self.timeout_s)
        if response.status_code == 204:
            self.session.headers[TOKEN_HEADER] = response.headers[TOKEN_HEADER]
        return response

    def call(self, method, path, body=None, *, query=None, raw=None, headers=None):
        # body becomes {"offer_state": body}; raw is sent unchanged.
        json = None if body is None else {"offer_state": body}
        return self.session.request(
            method, self.base_url + path, json=json, data=raw, params=query, timeout=self.timeout_s, headers=headers
        )

    def issue(self, **values):
        return self.call("POST", "/members/offer_states/issue", {"campaign_id": "SUMMER26", **values})

    def issue_new(self, member_id, campaign_id="SUMMER26", **values):
        """Issue an offer and return the ID of the new offer state."""
        return self.issue(member_id=member_id, campaign_id=campaign_id, **values).json()["offer_state"]["id"]

    def state(self, member_id, state_id):
        return self.call("GET", f"/members/{member_id}/offer_states/{state_id}").json()["offer_state"]

    def close(self):
        self.session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()
