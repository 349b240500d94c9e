"""IDs and other values cannot change the address template of an operation."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import VALUES

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.inputs import build
from sparkfly_nb.api.request import address_of
from sparkfly_nb.errors import InvalidInput

BASE = "https://api.sparkfly.com/v1.0"

IDS = st.text(max_size=30) | st.integers() | st.floats()


@pytest.mark.parametrize("name", list(ENDPOINTS))
@given(ids=st.fixed_dictionaries({}, optional={"member_id": IDS, "offerstate_id": IDS, "offer_id": IDS}))
def test_ids_never_change_the_path_template(name, ids):
    endpoint = ENDPOINTS[name]
    try:
        request, sent = build(endpoint, {**VALUES[name], **ids})
    except InvalidInput:
        return

    parts = urlsplit(address_of(BASE, request))
    template = re.sub(r"\\{\w+\\}", "([^/]+)", re.escape("/v1.0" + endpoint.path))
    found = re.fullmatch(template, parts.path)
    in_path = [field.name for field in endpoint.fields if field.place == "path"]
    by_order = sorted(in_path, key=lambda each: endpoint.path.index(f"{{{each}}}"))
    assert [unquote(part) for part in found.groups()] == [str(sent[each]) for each in by_order]
    assert not set(found.groups()) & {".", ".."}
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.sparkfly.com", "")
    assert dict(parse_qsl(parts.query, keep_blank_values=True, errors="strict")) == {
        field.name: str(sent[field.name]) for field in endpoint.fields if field.place == "query" and field.name in sent
    }
